-- Promise: a reading of ours that came to nothing is gone, with what it saw.
-- Locks: the reading, its rows.
-- Index: comparisons_pkey (and all that was seen).
with dropped as (
  delete from zohosync.comparisons
   where comparison_id = %(comparison_id)s and busy_by = %(who)s and finished_at is null
  returning comparison_id
)
delete from zohosync.seen s using dropped d where s.comparison_id = d.comparison_id
