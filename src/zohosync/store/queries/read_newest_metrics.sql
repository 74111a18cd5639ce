-- Promise: the key figures of the newest day that has any.
-- Locks: none.
-- Index: sync_metrics_pkey.
select m.metric_date, m.metric_type, m.entity_type, m.metric_value, m.metadata
  from zohosync.sync_metrics m
 where m.org_id = %(org_id)s
   and m.metric_date = (select max(n.metric_date) from zohosync.sync_metrics n
                         where n.org_id = %(org_id)s)
 order by m.metric_type, m.entity_type
