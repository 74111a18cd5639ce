-- Promise: of the oldest attempts, whichever organisation's, those that ended longer than `keep_days` ago
--   are gone.
-- Locks: the attempts deleted (SKIP LOCKED).
-- Index: sync_logs_pkey: the oldest stand in front, so one look at a few of them is enough.
with oldest as materialized (
  select log_id from zohosync.sync_logs order by log_id limit %(limit)s
), old as materialized (
  select l.log_id from zohosync.sync_logs l join oldest using (log_id)
   where l.created_at < zohosync.current_time() - make_interval(days => %(keep_days)s)
     for update of l skip locked
)
delete from zohosync.sync_logs l using old where l.log_id = old.log_id
