-- Promise: until this transaction ends, our triggers know that its writes are ours.
-- Locks: none.
-- Index: none.
select set_config('zohosync.writeback', 'on', true)
