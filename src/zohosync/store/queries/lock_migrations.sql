-- Promise: one process migrates at a time, until the end of its transaction.
-- Locks: an advisory one of ours ('zohosync' in ASCII), which nothing else takes.
-- Index: none.
select pg_advisory_xact_lock(8822385022930087523)
