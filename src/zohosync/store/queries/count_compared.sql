-- Promise: how many rows of a comparison are of each sort, by whether they are linked and sure.
-- Locks: none.
-- Index: - (all rows of the one comparison that there is)
select sort, linked, sure, count(*) as rows
  from zohosync.compared where comparison_id = %(comparison_id)s
 group by sort, linked, sure
