-- Promise: how the named rows were sorted by the newest finished comparison of their kind.
-- Locks: none.
-- Index: compared_key.
select c.key, c.zoho_id, c.sort, c.linked, c.candidates, c.reason
  from zohosync.compared c
 where c.org_id = %(org_id)s and c.kind = %(kind)s and c.key = any (%(keys)s::text[])
   and c.comparison_id = %(comparison_id)s
