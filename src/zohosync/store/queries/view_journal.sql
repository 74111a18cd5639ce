-- Promise: what the limits are judged by, as of now, and the limits in force: of the calls that still
--   count as many as the limits could need, the latest first; a call without an outcome has no
--   `overload`. A day of ours begins `day_guard_s` after
--   midnight, with the calls that ended since as long before it: by the remote's clock they may be of
--   either day.
-- Locks: none of its own (the organisation's row is held).
-- Index: api_calls_counting; api_calls_mints.
-- (Time stands in sub-selects of its own, else it is no index condition and the whole journal is
--   read. A call without an outcome counts until its deadline and the guarded minute: so those in
--   flight are the far end of the index, and those of the last second are in front of no more than
--   started or ended within it; where the minute has no limit, what ended in a future that the clock was
--   set back from is left out, or it would hide them. Asked for by `finished_at is null`, Postgres takes them for one row
--   in the whole journal, and reads all of it.)
select (select zohosync.current_time()) as now,
       o.limits::text as limits, o.closed_until, o.closed_reason, o.paused, o.overloads, o.mints_closed_until,
       o.lanes_waiting::text as lanes_waiting,
       case when o.day = d.day then o.day_calls else (
         select count(*)::int from zohosync.api_calls c
          where c.org_id = o.org_id and c.door = 'api'
            and c.counts_until between d.began + make_interval(secs => %(minute_s)s - %(day_guard_s)s)
                                   and d.began + interval '10 minutes') end as day_used,
       case when o.day = d.day then o.day_by_lane else '{}' end as day_by_lane,
       case when o.day = d.day then o.day_foreign else 0 end as day_foreign,
       case when o.day = d.day then o.quota_limit end as quota_limit,
       o.day is distinct from d.day as day_begins,
       d.began + make_interval(secs => %(day_guard_s)s) as day_began,
       (d.day + 1)::timestamp at time zone o.time_zone
         + make_interval(secs => %(day_guard_s)s) as day_ends,
       minute.until as minute_until, minute.lane as minute_lane, minute.started as minute_started,
       minute.kind as minute_kind, minute.overload as minute_overload,
       array(select c.started_at from zohosync.api_calls c
              where c.door = 'accounts' and c.mint_key = %(mint_key)s
                and c.started_at > (select zohosync.current_time()
                                           - make_interval(secs => %(mint_window_s)s))
            ) as mints_from
  from zohosync.organizations o,
       lateral (select ((zohosync.current_time() - make_interval(secs => %(day_guard_s)s))
                          at time zone o.time_zone)::date as day) today,
       lateral (select today.day, today.day::timestamp at time zone o.time_zone as began) d,
       lateral (select (o.limits ->> 'per_minute')::int as per_minute,
                       (o.limits ->> 'in_flight')::int as in_flight,
                       (o.limits ->> 'per_second')::int as per_second) m,
       lateral (select coalesce(array_agg(c.counts_until), '{}') as until,
                       coalesce(array_agg(c.lane), '{}') as lane,
                       coalesce(array_agg(c.started_at), '{}') as started,
                       coalesce(array_agg(c.kind), '{}') as kind,
                       coalesce(array_agg(case when c.finished_at is not null then coalesce(
                         c.outcome in ('throttled', 'unavailable', 'unreachable'), false) end), '{}')
                         as overload
                  from (select * from zohosync.api_calls c
                         where c.org_id = o.org_id and c.door = 'api'
                           and c.counts_until > (select zohosync.current_time())
                           and (m.per_minute is not null or c.finished_at is null
                                or c.finished_at <= (select zohosync.current_time()))
                         order by c.counts_until desc, c.call_id desc
                         limit case
                           when m.per_minute is not null
                             then greatest(m.per_minute, m.in_flight, m.per_second)
                           when m.in_flight is null and m.per_second is not null then null
                           else 2 * coalesce(m.in_flight, 0) + 2 * coalesce(m.per_second, 0)
                         end) c) minute
 where o.org_id = %(org_id)s
