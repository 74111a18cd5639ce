-- Promise: what a reply did to the organisation: closed it (the later end and its reason win), paused
--   it, counted towards an outage (calls that were under way count no further than what makes one) or
--   ended one.
-- Locks: the organisation's row.
-- Index: organizations_pkey.
with closing as (
  select case
           when %(close_s)s::float8 is not null
             then zohosync.current_time() + make_interval(secs => %(close_s)s)
           when %(until_midnight)s
             then (((zohosync.current_time() - make_interval(secs => %(day_guard_s)s))
                      at time zone time_zone)::date + 1)::timestamp at time zone time_zone
                  + make_interval(secs => %(day_guard_s)s) end as until
    from zohosync.organizations where org_id = %(org_id)s
)
update zohosync.organizations o
   set closed_until = greatest(o.closed_until, closing.until),
       closed_reason = case when closing.until < o.closed_until then o.closed_reason
                            else coalesce(%(reason)s, o.closed_reason) end,
       mints_closed_until = case when %(close_mints_s)s::float8 is null then o.mints_closed_until
         else greatest(o.mints_closed_until,
           zohosync.current_time() + make_interval(secs => %(close_mints_s)s)) end,
       paused = coalesce(%(pause)s, o.paused),
       overloads = case when %(overload)s then
                          greatest(o.overloads, least(o.overloads + 1, %(overloads_max)s::integer))
                        when %(healthy)s then 0 else o.overloads end,
       quota_left = coalesce(%(quota_left)s, o.quota_left)
  from closing
 where o.org_id = %(org_id)s
returning o.overloads
