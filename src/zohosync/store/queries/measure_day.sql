-- Promise: the key figures of what lies between two instants of an organisation, for each kind and for
--   `all`, zeros included; the same rows give the same figures, but for `stale_syncs`: the tables
--   forget when a record was out of step once it is marked again.
--   A sync is all attempts of a record until one ends it, in success or in failure; a retry or a
--   write in doubt is a try that did not end it. A further step of the same sync, an attempt that
--   was given back, and waiting are no tries (zohosync.ending). What had not changed and cost no
--   call is counted as saved, and is in no rate.
-- Locks: none.
-- Index: sync_logs_created, api_calls_started, records_status.
with tally as materialized (  -- of each kind, and of the syncs that took so long
  select kind, ms, count(*) as syncs,
         count(*) filter (where done and paid) as succeeded,
         count(*) filter (where ending = 2) as failed,
         count(*) filter (where ending = 3) as tries,
         count(*) filter (where done and not paid and step = 'nothing' and changes > 0) as unchanged,
         sum(changes - 1) filter (where changes > 1) as merged, sum(reads_saved) as reads
    from (
      select l.kind, l.status = 'success' as done, l.step, l.changes, l.reads_saved,
             zohosync.ending(l.status, l.result, l.step) as ending,
             coalesce(l.sync_calls, l.calls) > 0 as paid,
             case when l.status = 'success' and coalesce(l.sync_calls, l.calls) > 0
                  then coalesce(l.sync_ms, l.duration_ms) end as ms
        from zohosync.sync_logs l
       where l.org_id = %(org_id)s
         and l.created_at >= %(began)s::timestamptz and l.created_at < %(ended)s::timestamptz) t
   group by kind, ms
), place as (
  select coalesce(kind, 'all') as kind, ms, syncs,
         sum(syncs) over (partition by kind order by ms) as upto,
         sum(syncs) over (partition by kind) as total
    from (select kind, ms, sum(syncs) as syncs from tally where ms is not null
           group by grouping sets ((kind, ms), (ms))) span
), bucket as (
  select kind, jsonb_object_agg(step, syncs order by step) as spans
    from (select kind, case when ms < 1 then 0 else ceil(20 * log(ms::float8)) end as step,
                 sum(syncs) as syncs from place group by 1, 2) b
   group by kind
), timed as (
  select p.kind, max(p.total) as syncs, sum(p.ms * p.syncs) as total_ms,
         min(p.ms) filter (where p.upto >= 0.5 * p.total) as p50,
         min(p.ms) filter (where p.upto >= 0.95 * p.total) as p95
    from place p group by p.kind
), book as (
  select coalesce(kind, 'all') as kind, sum(succeeded) as succeeded, sum(failed) as failed,
         sum(tries) as tries, sum(unchanged) as unchanged, sum(merged) as merged,
         sum(reads) as reads
    from tally group by grouping sets ((kind), ())
), call as (
  select case when grouping(kind) = 1 then 'all' else kind end as kind, sum(calls) as calls,
         sum(refused) as refused
    from (
      select c.kind, count(*) filter (where c.door = 'api') as calls,
             count(*) filter (where c.outcome = 'throttled') as refused
        from zohosync.api_calls c
       where c.org_id = %(org_id)s and c.sent is not false
         and c.started_at >= %(began)s::timestamptz and c.started_at < %(ended)s::timestamptz
       group by c.kind) by_kind
   group by grouping sets ((kind), ())
), late as (  -- out of step for longer than that at the end, by what is known of it now: since it
              -- was marked, or since it was last looked into, and either still or until lately
  select r.kind, r.key from zohosync.records r
   where r.org_id = %(org_id)s and r.status not in ('synced', 'skipped')
     and case when r.version > r.synced_version then r.marked_at
              else coalesce(r.settled_at, r.marked_at) end
         < %(ended)s::timestamptz - %(stale_after)s::interval
  union
  select r.kind, r.key
    from (select distinct l.kind, l.key from zohosync.sync_logs l
           where l.org_id = %(org_id)s and l.status = 'success' and l.changes > 0
             and l.created_at >= %(ended)s::timestamptz) since
    join zohosync.records r on r.org_id = %(org_id)s and r.kind = since.kind and r.key = since.key
   where r.marked_at < %(ended)s::timestamptz - %(stale_after)s::interval
), stale as (
  select coalesce(kind, 'all') as kind, count(*) as records
    from late group by grouping sets ((kind), ())
), named as (
  select 'all' as kind
   union select unnest(o.kinds) from zohosync.organizations o where o.org_id = %(org_id)s
   union select kind from book union select kind from call where kind is not null
   union select kind from stale
), sums as materialized (
  select n.kind, coalesce(b.succeeded, 0) as succeeded, coalesce(b.failed, 0) as failed,
         coalesce(b.tries, 0) as tries, coalesce(b.unchanged, 0) as unchanged,
         coalesce(b.merged, 0) as merged, coalesce(b.reads, 0) as reads,
         coalesce(t.syncs, 0) as timed, coalesce(t.total_ms, 0) as total_ms,
         coalesce(t.p50, 0) as p50, coalesce(t.p95, 0) as p95, coalesce(u.spans, '{}') as spans,
         coalesce(c.calls, 0) as calls, coalesce(c.refused, 0) as refused,
         coalesce(s.records, 0) as stale
    from named n
    left join book b using (kind) left join timed t using (kind) left join bucket u using (kind)
    left join call c using (kind) left join stale s using (kind)
), figure as (
  select s.kind as entity_type, f.*
    from sums s, lateral (values
      ('success_rate', 100.0 * s.succeeded / nullif(s.succeeded + s.failed, 0),
        jsonb_build_object('success', s.succeeded, 'total', s.succeeded + s.failed)),
      ('avg_sync_time', s.total_ms / nullif(s.timed, 0),
        jsonb_build_object('total_ms', s.total_ms, 'syncs', s.timed, 'spans', s.spans)),
      ('p50_sync_time', s.p50, '{}'),
      ('p95_sync_time', s.p95, '{}'),
      ('avg_attempts', (s.succeeded + s.failed + s.tries)::numeric
                         / nullif(s.succeeded + s.failed, 0),
        jsonb_build_object('attempts', s.succeeded + s.failed + s.tries,
                           'syncs', s.succeeded + s.failed)),
      ('failed_syncs', s.failed, '{}'),
      ('rate_limit_hits', s.refused, '{}'),
      ('stale_syncs', s.stale, jsonb_build_object('at_least', %(at_least)s::boolean)),
      ('api_calls', s.calls, '{}'),
      ('calls_per_record', s.calls::numeric / nullif(s.succeeded, 0),
        jsonb_build_object('calls', s.calls, 'records', s.succeeded)),
      ('calls_saved', s.unchanged + s.merged + s.reads,
        jsonb_build_object('unchanged', s.unchanged, 'merged', s.merged, 'reads', s.reads))
    ) as f (metric_type, value, metadata)
)
select metric_type, entity_type, coalesce(round(value, 4), 0) as metric_value, metadata
  from figure order by metric_type, entity_type
