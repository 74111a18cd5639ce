-- Promise: what the limits are judged by, as of now: of each window as many calls as its limit could
--   need, the latest first.
-- Locks: none of its own (the organisation's row is held).
-- Index: api_calls_counting; api_calls_mints.
-- (Time stands in sub-selects of its own, else it is no index condition and the whole journal is
--   read. A call without an outcome counts until its deadline and the guarded minute: so those in
--   flight are the far end of the index.)
select (select zohosync.current_time()) as now,
       o.closed_until, o.closed_reason, o.paused, o.overloads, o.mints_closed_until,
       case when o.day = (zohosync.current_time() at time zone o.time_zone)::date
            then o.day_calls else 0 end as day_used,
       ((zohosync.current_time() at time zone o.time_zone)::date + 1)::timestamp
         at time zone o.time_zone as day_ends,
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
  from zohosync.organizations o where o.org_id = %(org_id)s
