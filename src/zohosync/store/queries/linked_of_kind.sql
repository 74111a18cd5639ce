-- Promise: every linked record of a kind.
-- Locks: none.
-- Index: - (every linked record)
select key, zoho_id from zohosync.records
 where org_id = %(org_id)s and kind = %(kind)s and zoho_id is not null
