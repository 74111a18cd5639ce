-- Promise: calls that were spared since an instant, by kind: for rows that were marked and had not
--   changed (and not after a call for the same version: that one was the price), for changes that one
--   attempt brought into step together, for ids that were known; and the records that were brought
--   into step, with the calls it took.
-- Locks: none.
-- Index: sync_logs_created, sync_logs_record.
select l.kind,
       count(*) filter (where l.step = 'nothing' and l.changes > 0 and paid.log_id is null)::int
         as unchanged,
       coalesce(sum(greatest(l.changes - 1, 0)), 0)::int as merged,
       coalesce(sum(l.reads_saved), 0)::int as reads,
       coalesce(sum(l.changes), 0)::int as changes,
       count(*) filter (where l.status = 'success')::int as records,
       sum(l.calls)::int as calls
  from zohosync.sync_logs l
  left join lateral (
    select e.log_id from zohosync.sync_logs e
     where l.step = 'nothing' and e.org_id = l.org_id and e.kind = l.kind and e.key = l.key
       and e.log_id < l.log_id and e.version = l.version and e.calls > 0
     order by e.log_id desc limit 1) paid on true
 where l.org_id = %(org_id)s and l.created_at >= %(since)s::timestamptz
 group by l.kind
 order by l.kind
