-- Promise: what a reading saw in Zoho, up to `limit` records after `after`, by Zoho id.
-- Locks: none.
-- Index: seen_pkey.
select zoho_id, fields from zohosync.seen
 where org_id = %(org_id)s and kind = %(kind)s and comparison_id = %(comparison_id)s
   and zoho_id > %(after)s
 order by zoho_id limit %(limit)s
