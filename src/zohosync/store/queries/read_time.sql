-- Promise: what time it is, by the one clock that holds.
-- Locks: none.
-- Index: none.
select zohosync.current_time() as now
