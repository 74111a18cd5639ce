-- Promise: the key figures that are kept of the days from one date to another, both included.
-- Locks: none.
-- Index: sync_metrics_pkey.
select m.metric_date, m.metric_type, m.entity_type, m.metric_value, m.metadata
  from zohosync.sync_metrics m
 where m.org_id = %(org_id)s and m.metric_date between %(first)s::date and %(last)s::date
 order by m.metric_date, m.metric_type, m.entity_type
