-- Promise: alerts that ended, notices that were sent and mutes that are over, more than so many days ago, are
--   gone; and notices that no process has a channel for.
-- Locks: those rows.
-- Index: none (some hundreds of rows).
with alerts as (
  delete from zohosync.alerts
   where org_id = %(org_id)s and reported is null
     and resolved_at < zohosync.current_time() - make_interval(days => %(keep_days)s)
), mutes as (
  delete from zohosync.alert_mutes
   where org_id = %(org_id)s and until < zohosync.current_time() - make_interval(days => %(keep_days)s)
)
delete from zohosync.notices
 where org_id = %(org_id)s
   and coalesce(done_at, made_at) < zohosync.current_time() - make_interval(days => %(keep_days)s)
