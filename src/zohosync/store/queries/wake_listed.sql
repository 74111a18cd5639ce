-- Promise: what was looked for in vain and stands in a list that was just read is due now.
-- Locks: the woken records.
-- Index: records_pkey.
update zohosync.records r
   set status = 'pending', due_at = zohosync.current_time()
 where r.org_id = %(org_id)s and r.kind = %(kind)s and r.key = any (%(keys)s::text[])
   and r.zoho_id is null and r.error_code = 'unlisted' and r.status = 'waiting'
   and r.lease_until is null and r.intent_id is null
