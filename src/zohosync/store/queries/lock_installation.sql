-- Promise: of processes that register at the same time, one does so after the other.
-- Locks: the installation's row, until the transaction ends.
-- Index: none (one row).
select 1 from zohosync.installation for update
