-- Promise: whoever reads the list next need not wait for us: the reading is nobody's, and goes on where it is.
-- Locks: the reading.
-- Index: comparisons_pkey.
update zohosync.comparisons set busy_by = null, busy_until = null
 where comparison_id = %(comparison_id)s and busy_by = %(who)s and finished_at is null
