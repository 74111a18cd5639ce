-- Promise: a day's key figures are these, in place of those that were there; only `stale_syncs` keeps its
--   first answer.
-- Locks: the metrics' rows that are there already, by name and kind.
-- Index: sync_metrics_pkey.
insert into zohosync.sync_metrics as m
  (org_id, metric_date, metric_type, entity_type, metric_value, metadata)
select %(org_id)s, %(day)s::date, f.metric_type, f.entity_type, f.metric_value, f.metadata
  from jsonb_to_recordset(%(rows)s::jsonb) as f (metric_type text, entity_type text,
       metric_value numeric, metadata jsonb)
 order by f.metric_type, f.entity_type
on conflict (org_id, metric_date, metric_type, entity_type) do update
   set metric_value = excluded.metric_value, metadata = excluded.metadata
 where m.metric_type <> 'stale_syncs'
