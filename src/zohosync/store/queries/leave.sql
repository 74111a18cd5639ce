-- Promise: this worker is gone by its own will: it leads no more, and a job that it had begun is anybody's;
--   workers silent for a day are forgotten.
-- Locks: those rows.
-- Index: none (a handful of rows).
with resigned as (
  update zohosync.leaders set worker = null, until = null where worker = %(worker)s
), given_back as (
  update zohosync.jobs set state = 'given back', held_until = null, failures = greatest(failures - 1, 0)
   where worker = %(worker)s and state = 'running'
)
delete from zohosync.workers
 where worker = %(worker)s or heartbeat_at < zohosync.current_time() - interval '1 day'
