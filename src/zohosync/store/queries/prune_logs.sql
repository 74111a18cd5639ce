-- Promise: of the next attempts after `after`, oldest first and whichever organisation's, those that ended
--   longer than `keep_days` ago are gone. `last` is the last one looked at, `more` whether older ones may
--   follow it.
-- Locks: the attempts deleted (SKIP LOCKED).
-- Index: sync_logs_pkey: the oldest stand in front, so one look at a few of them is enough.
with oldest as materialized (
  select log_id, created_at from zohosync.sync_logs
   where log_id > %(after)s order by log_id limit %(limit)s
), cutoff as materialized (
  select zohosync.current_time() - make_interval(days => %(keep_days)s) as at
), old as materialized (
  select l.log_id from zohosync.sync_logs l join oldest using (log_id)
   where l.created_at < (select at from cutoff)
     for update of l skip locked
), gone as (
  delete from zohosync.sync_logs l using old where l.log_id = old.log_id returning 1
)
select (select count(*) from gone)::int as gone, coalesce(max(log_id), %(after)s) as last,
       count(*) = %(limit)s and coalesce(bool_and(created_at < (select at from cutoff)), false) as more
  from oldest
