-- Promise: records of these kinds that were given back while nothing could run are due now; those with a
--   lease, a back-off or an open intent keep their time.
-- Locks: the woken records.
-- Index: records_status.
update zohosync.records r set due_at = zohosync.current_time()
 where r.org_id = %(org_id)s and r.kind = any (%(kinds)s::text[]) and r.status = 'pending'
   and r.lease_until is null and r.due_at > zohosync.current_time()
