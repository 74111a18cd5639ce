-- Promise: which of these Zoho ids are linked already, and to whom.
-- Locks: none.
-- Index: records_one_per_zoho_id.
select r.zoho_id, r.key from zohosync.records r
 where r.org_id = %(org_id)s and r.kind = %(kind)s and r.zoho_id = any (%(zoho_ids)s::text[])
