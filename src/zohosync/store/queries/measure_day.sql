-- Promise: the key figures of what lies between two instants of an organisation, for each kind and for
--   `all`, zeros included; with `keep` they are written as that day's, which may be said again:
--   the same rows give the same figures. Only `stale_syncs` keeps its first answer, since the
--   tables forget when a record was out of step once it is back in it.
--   A sync is one version of a record on its way into step: it ends in success or in failure, and
--   whatever else an attempt led to (a retry, a write in doubt) is a try that did not end it. A
--   further step of the same sync, an attempt that was given back, and waiting are no tries. What had
--   not changed and cost no call is counted as saved, and is in no rate.
-- Locks: the metrics' rows, when they are there already.
-- Index: sync_logs_created, api_calls_started, sync_metrics_pkey, records_status.
with attempt as (
  select l.kind, l.key, l.version, l.duration_ms, l.calls, l.changes, l.reads_saved,
         l.step = 'nothing' and l.changes > 0 as unchanged,
         case when l.status = 'success' then 1                                  -- in step
              when l.status = 'failed' or l.result = 'undecided' then 2         -- for a person
              when l.result = 'orphaned' then 3
              when l.status in ('waiting', 'skipped') or l.step = 'later'
                or l.result in ('throttled', 'unauthorized', 'woken')
                or l.result like 'closed%%' then 0                              -- not tried
              when l.status in ('retrying', 'uncertain') or l.result = 'absent' then 3
              else 4 end as ending                                              -- a further step
    from zohosync.sync_logs l
   where l.org_id = %(org_id)s
     and l.created_at >= %(began)s::timestamptz and l.created_at < %(ended)s::timestamptz
), sync as (
  select kind, count(*) filter (where ending = 1) as succeeded,
         count(*) filter (where ending = 2) as failed, count(*) filter (where ending = 3) as tries,
         coalesce(sum(duration_ms) filter (where ending > 0), 0) as ms,
         sum(calls) as calls, count(*) filter (where unchanged) as unchanged,
         sum(greatest(changes - 1, 0)) as merged, sum(reads_saved) as reads
    from attempt group by kind, key, version
), span as (  -- how many syncs took so long
  select kind, ms, sum(succeeded) as syncs from sync
   where succeeded > 0 and calls > 0 group by grouping sets ((kind, ms), (ms))
), place as (
  select coalesce(kind, 'all') as kind, ms, syncs,
         sum(syncs) over (partition by kind order by ms) as upto,
         sum(syncs) over (partition by kind) as total
    from span
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
  select coalesce(kind, 'all') as kind,
         sum(succeeded) filter (where calls > 0 or tries > 0 or failed > 0) as succeeded,
         sum(failed) as failed, sum(tries) as tries,
         sum(unchanged) filter (where calls = 0) as unchanged,
         sum(merged) as merged, sum(reads) as reads
    from sync group by grouping sets ((kind), ())
), call as (
  select case when grouping(c.kind) = 1 then 'all' else c.kind end as kind,
         count(*) filter (where c.door = 'api') as calls,
         count(*) filter (where c.outcome = 'throttled') as refused
    from zohosync.api_calls c
   where c.org_id = %(org_id)s and c.sent is not false
     and c.started_at >= %(began)s::timestamptz and c.started_at < %(ended)s::timestamptz
   group by grouping sets ((c.kind), ())
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
), figure as materialized (
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
), kept as (
  insert into zohosync.sync_metrics as m
    (org_id, metric_date, metric_type, entity_type, metric_value, metadata)
  select %(org_id)s, %(day)s::date, metric_type, entity_type, coalesce(round(value, 4), 0), metadata
    from figure where %(keep)s
   order by metric_type, entity_type
  on conflict (org_id, metric_date, metric_type, entity_type) do update
     set metric_value = excluded.metric_value, metadata = excluded.metadata
   where m.metric_type <> 'stale_syncs'
)
select %(day)s::date as metric_date, metric_type, entity_type,
       coalesce(round(value, 4), 0) as metric_value, metadata
  from figure order by metric_type, entity_type
