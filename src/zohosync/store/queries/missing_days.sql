-- Promise: the closed days of the organisation's own of which no key figures are kept though their
--   attempts still are: from the day on which it became known here, or the first day that is
--   kept whole on (of days that may be of 25 hours), to the last one that was over `late_s` ago; the
--   oldest first.
-- Locks: none.
-- Index: organizations_pkey, sync_metrics_pkey.
select d.day::date as day
  from zohosync.organizations o,
       lateral generate_series(
         greatest((o.created_at at time zone o.time_zone)::date,
                  (zohosync.current_time() at time zone o.time_zone)::date - %(keep_days)s::integer + 1
                 )::timestamp,
         ((zohosync.current_time() - make_interval(secs => %(late_s)s)) at time zone o.time_zone)::date
           - interval '1 day',
         interval '1 day') as d (day)
 where o.org_id = %(org_id)s
   and d.day at time zone o.time_zone
         >= zohosync.current_time() - make_interval(hours => 24 * %(keep_days)s::integer)
   and (select true from zohosync.sync_metrics m
         where m.org_id = o.org_id and m.metric_date = d.day::date
           and m.metric_type = 'success_rate' and m.entity_type = 'all') is null
 order by 1
