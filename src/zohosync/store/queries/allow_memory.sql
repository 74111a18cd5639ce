-- Promise: until the end of this transaction a statement may sort and group in more memory than usual.
-- Locks: none.
-- Index: none.
select set_config('work_mem', '32MB', true)
