-- Promise: how the rows of a comparison were sorted, up to `limit` after `after`, in the order in which
--   they were; of those sorts only.
-- Locks: none.
-- Index: compared_pkey.
select compared_id, key, zoho_id, sort, linked, sure, candidates, reason, differences, equal_fields,
       remote_state, label
  from zohosync.compared
 where comparison_id = %(comparison_id)s and compared_id > %(after)s
   and sort = any (%(sorts)s::text[])
 order by compared_id limit %(limit)s
