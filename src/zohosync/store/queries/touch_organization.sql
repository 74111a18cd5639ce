-- Promise: what a reply did to the organisation: closed it (the later end wins), paused it, counted
--   towards an outage (calls that were under way count no further than what makes one) or ended one.
-- Locks: the organisation's row.
-- Index: organizations_pkey.
update zohosync.organizations o
   set closed_until = case
         when %(close_s)s::float8 is not null then greatest(o.closed_until,
           zohosync.current_time() + make_interval(secs => %(close_s)s))
         when %(until_midnight)s then greatest(o.closed_until,
           ((zohosync.current_time() at time zone o.time_zone)::date + 1)::timestamp
             at time zone o.time_zone)
         else o.closed_until end,
       closed_reason = coalesce(%(reason)s, o.closed_reason),
       mints_closed_until = case when %(close_mints_s)s::float8 is null then o.mints_closed_until
         else greatest(o.mints_closed_until,
           zohosync.current_time() + make_interval(secs => %(close_mints_s)s)) end,
       paused = coalesce(%(pause)s, o.paused),
       overloads = case when %(overload)s then
                          greatest(o.overloads, least(o.overloads + 1, %(overloads_max)s::integer))
                        when %(healthy)s then 0 else o.overloads end,
       quota_left = coalesce(%(quota_left)s, o.quota_left)
 where o.org_id = %(org_id)s
returning o.overloads
