-- Promise: this worker is gone by its own will; workers silent for a day are forgotten.
-- Locks: those rows.
-- Index: none (a handful of rows).
delete from zohosync.workers
 where worker = %(worker)s or heartbeat_at < zohosync.current_time() - interval '1 day'
