-- Promise: what the limits are judged by, as of now: of each window as many calls as its limit could
--   need, the latest first. A day of ours begins `day_guard_s` after midnight, with the calls that
--   ended since as long before it: by the remote's clock they may be of either day.
-- Locks: none of its own (the organisation's row is held).
-- Index: api_calls_counting; api_calls_mints.
-- (Time stands in sub-selects of its own, else it is no index condition and the whole journal is
--   read. A call without an outcome counts until its deadline and the guarded minute: so those in
--   flight are the far end of the index.)
select (select zohosync.current_time()) as now,
       o.closed_until, o.closed_reason, o.paused, o.overloads, o.mints_closed_until,
       case when o.day = d.day then o.day_calls else (
         select count(*)::int from zohosync.api_calls c
          where c.org_id = o.org_id and c.door = 'api'
            and c.counts_until between d.began + make_interval(secs => %(minute_s)s - %(day_guard_s)s)
                                   and d.began + interval '10 minutes') end as day_used,
       (d.day + 1)::timestamp at time zone o.time_zone
         + make_interval(secs => %(day_guard_s)s) as day_ends,
       array(select c.counts_until from zohosync.api_calls c
              where c.org_id = o.org_id and c.door = 'api'
                and c.counts_until > (select zohosync.current_time())
              order by c.counts_until desc limit %(per_minute)s) as minute_until,
       array(select c.deadline from zohosync.api_calls c
              where c.org_id = o.org_id and c.door = 'api' and c.finished_at is null
                and c.counts_until > (select zohosync.current_time()
                                             + make_interval(secs => %(minute_s)s))
              order by c.counts_until desc limit %(in_flight)s) as flying_until,
       array(select c.started_at from zohosync.api_calls c
              where c.org_id = o.org_id and c.door = 'api'
                and c.counts_until > (select zohosync.current_time())
                and c.started_at > (select zohosync.current_time()) - interval '1.05 s'
              order by c.started_at desc limit %(per_second)s) as second_from,
       array(select c.started_at from zohosync.api_calls c
              where c.door = 'accounts' and c.mint_key = %(mint_key)s
                and c.started_at > (select zohosync.current_time()
                                           - make_interval(secs => %(mint_window_s)s))
            ) as mints_from
  from zohosync.organizations o,
       lateral (select ((zohosync.current_time() - make_interval(secs => %(day_guard_s)s))
                          at time zone o.time_zone)::date as day) today,
       lateral (select today.day, today.day::timestamp at time zone o.time_zone as began) d
 where o.org_id = %(org_id)s
