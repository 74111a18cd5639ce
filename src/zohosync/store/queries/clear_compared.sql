-- Promise: what an earlier try of this comparison had sorted is gone.
-- Locks: its rows.
-- Index: - (all rows of that comparison)
delete from zohosync.compared where comparison_id = %(comparison_id)s
