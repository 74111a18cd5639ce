-- Promise: of the oldest attempts those that ended longer than `keep_days` ago are gone.
-- Locks: the attempts deleted (SKIP LOCKED).
-- Index: sync_logs_pkey: the oldest stand in front, so one look at a few of them is enough.
with oldest as materialized (
  select log_id from zohosync.sync_logs order by log_id limit %(limit)s for update skip locked
)
delete from zohosync.sync_logs l using oldest
 where l.log_id = oldest.log_id
   and l.created_at < zohosync.current_time() - make_interval(days => %(keep_days)s)
