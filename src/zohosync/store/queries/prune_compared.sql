-- Promise: some of the verdicts of comparisons older than `keep_days` are gone. `more`: there may be others.
-- Locks: the verdicts deleted (SKIP LOCKED).
-- Index: compared_key.
with old as materialized (
  select c.org_id, c.kind, c.comparison_id from zohosync.comparisons c
   where coalesce(c.finished_at, c.started_at)
           < zohosync.current_time() - make_interval(days => %(keep_days)s)
), few as materialized (
  select r.ctid from old o, lateral (
    select p.ctid from zohosync.compared p
     where p.org_id = o.org_id and p.kind = o.kind and p.comparison_id = o.comparison_id
     order by p.key limit %(limit)s for update skip locked) r
   limit %(limit)s
), gone as (
  delete from zohosync.compared p where p.ctid = any (array(select ctid from few)) returning 1
)
select count(*)::int as gone, %(after)s as last, count(*) = %(limit)s as more from gone
