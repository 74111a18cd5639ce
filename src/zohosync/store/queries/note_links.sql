-- Promise: the newest comparison knows these rows for linked.
-- Locks: their rows.
-- Index: compared_key.
update zohosync.compared
   set linked = true, sure = true, candidates = '{}',
       sort = case when sort = 'double' then sort else 'linked' end
 where org_id = %(org_id)s and kind = %(kind)s and comparison_id = %(comparison_id)s
   and key = any (%(keys)s::text[])
