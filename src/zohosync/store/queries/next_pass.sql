-- Promise: the list is read once more from its first page on; what was seen stays.
-- Locks: the reading.
-- Index: comparisons_pkey.
update zohosync.comparisons set pass = pass + 1, page = 0, torn = false
 where comparison_id = %(comparison_id)s
