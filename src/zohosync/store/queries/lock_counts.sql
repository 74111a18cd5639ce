-- Promise: one process mends the counts at a time, until the end of its transaction; nobody who changes
--   records or folds waits for it.
-- Locks: an advisory one of ours (one more than that of the migrations), which nothing else takes.
-- Index: none.
select pg_advisory_xact_lock(8822385022930087524)
