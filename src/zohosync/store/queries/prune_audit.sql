-- Promise: of the next acts after `after`, oldest first, those older than `keep_days` are gone. `last` is the
--   last one looked at, `more` whether older ones may follow it.
-- Locks: the acts deleted (SKIP LOCKED).
-- Index: audit_pkey: the oldest stand in front, so one look at a few of them is enough.
with oldest as materialized (
  select audit_id, at from zohosync.audit
   where audit_id > %(after)s order by audit_id limit %(limit)s
), cutoff as materialized (
  select zohosync.current_time() - make_interval(days => %(keep_days)s) as at
), old as materialized (
  select a.audit_id from zohosync.audit a join oldest using (audit_id)
   where a.at < (select at from cutoff)
     for update of a skip locked
), gone as (
  delete from zohosync.audit a using old where a.audit_id = old.audit_id returning 1
)
select (select count(*) from gone)::int as gone, coalesce(max(audit_id), %(after)s) as last,
       count(*) = %(limit)s and coalesce(bool_and(oldest.at < (select at from cutoff)), false) as more
  from oldest
