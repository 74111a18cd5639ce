-- Promise: the organisation's day is today, by its own midnight: it begins with the calls that the
--   remote may count on it, too (as in view_journal); a day that goes on is left as it is.
-- Locks: none beyond the organisation's row, which is held.
-- Index: organizations_pkey, api_calls_counting.
with today as materialized (
  select d.day, d.day::timestamp at time zone o.time_zone as began
    from zohosync.organizations o,
         lateral (select ((zohosync.current_time() - make_interval(secs => %(day_guard_s)s))
                            at time zone o.time_zone)::date as day) d
   where o.org_id = %(org_id)s and o.day is distinct from d.day
), across as materialized (  -- calls around midnight
  select c.lane::text, count(*)::int as calls
    from today t, zohosync.api_calls c
   where c.org_id = %(org_id)s and c.door = 'api'
     and c.counts_until between t.began + make_interval(secs => %(minute_s)s - %(day_guard_s)s)
                            and t.began + interval '10 minutes'
   group by c.lane
)
update zohosync.organizations o
   set day = today.day, day_foreign = 0, quota_limit = null,
       day_calls = (select coalesce(sum(calls), 0) from across),
       day_by_lane = (select coalesce(jsonb_object_agg(lane, calls), '{}') from across)
  from today
 where o.org_id = %(org_id)s
