-- Promise: the reading is still ours, and stays so for `busy_s`. No row: somebody else has taken it over.
-- Locks: the reading.
-- Index: comparisons_pkey.
update zohosync.comparisons
   set busy_until = zohosync.current_time() + make_interval(secs => %(busy_s)s)
 where comparison_id = %(comparison_id)s and busy_by = %(who)s and finished_at is null
