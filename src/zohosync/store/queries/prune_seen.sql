-- Promise: some of the rows of Zoho's lists that comparisons older than `keep_days` saw are gone; that they
--   were compared, and with what counts, stays known. `more`: there may be others.
-- Locks: the rows deleted (SKIP LOCKED).
-- Index: seen_pkey.
with old as materialized (
  select c.org_id, c.kind, c.comparison_id from zohosync.comparisons c
   where coalesce(c.finished_at, c.started_at)
           < zohosync.current_time() - make_interval(days => %(keep_days)s)
), few as materialized (
  select r.ctid from old o, lateral (
    select s.ctid from zohosync.seen s
     where s.org_id = o.org_id and s.kind = o.kind and s.comparison_id = o.comparison_id
     order by s.zoho_id limit %(limit)s for update skip locked) r
   limit %(limit)s
), gone as (
  delete from zohosync.seen s where s.ctid = any (array(select ctid from few)) returning 1
)
select count(*)::int as gone, %(after)s as last, count(*) = %(limit)s as more from gone
