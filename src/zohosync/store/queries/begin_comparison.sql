-- Promise: the reading of a kind's list that was broken off within the last hour goes on, else a new
--   one begins; nobody else reads that list for `busy_s` from now. No row: somebody else reads it.
-- Locks: the unfinished reading (SKIP LOCKED never: two beginners take turns on the organisation's row).
-- Index: comparisons_newest.
with turn as materialized (
  select org_id from zohosync.organizations where org_id = %(org_id)s for no key update
), open as materialized (
  select c.comparison_id, c.busy_by, c.busy_until, c.page
    from turn t
    join zohosync.comparisons c on c.org_id = t.org_id and c.kind = %(kind)s
   where c.finished_at is null
     and (c.started_at > zohosync.current_time() - interval '1 hour'
          or c.busy_until > zohosync.current_time())
   order by c.comparison_id desc limit 1
), taken as (
  update zohosync.comparisons c
     set busy_by = %(who)s,
         busy_until = zohosync.current_time() + make_interval(secs => %(busy_s)s)
    from open o
   where c.comparison_id = o.comparison_id
     and (o.busy_by is null or o.busy_by = %(who)s or o.busy_until < zohosync.current_time())
  returning c.*
), made as (
  insert into zohosync.comparisons (org_id, kind, busy_by, busy_until)
  select t.org_id, %(kind)s, %(who)s,
         zohosync.current_time() + make_interval(secs => %(busy_s)s)
    from turn t where not exists (select from open)
  returning *
)
select comparison_id, started_at, pass, page, torn, calls from taken
union all
select comparison_id, started_at, pass, page, torn, calls from made
