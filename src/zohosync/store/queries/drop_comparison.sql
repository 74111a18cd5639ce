-- Promise: a reading that came to nothing is gone; what it saw stays until the next one.
-- Locks: the reading.
-- Index: comparisons_pkey.
delete from zohosync.comparisons where comparison_id = %(comparison_id)s and finished_at is null
