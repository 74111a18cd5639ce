-- Promise: calls that were spared since an instant, by kind: for rows that were marked and had not
--   changed, for changes that one attempt brought into step together, for ids that were known; and the
--   records that were brought into step, with the calls it took.
-- Locks: none.
-- Index: sync_logs_created.
select l.kind,
       count(*) filter (where l.step = 'nothing' and l.changes > 0)::int as unchanged,
       coalesce(sum(greatest(l.changes - 1, 0)), 0)::int as merged,
       coalesce(sum(l.reads_saved), 0)::int as reads,
       coalesce(sum(l.changes), 0)::int as changes,
       count(*) filter (where l.status = 'success')::int as records,
       sum(l.calls)::int as calls
  from zohosync.sync_logs l
 where l.org_id = %(org_id)s and l.created_at >= %(since)s::timestamptz
 group by l.kind
 order by l.kind
