-- Promise: what a reply did to the organisation: closed it (the later end and its reason win), paused
--   it, counted towards an outage (calls that were under way count no further than what makes one) or
--   ended one, or a closing that is over. What Zoho says is used of the day, beyond all that we let go
--   by now, others have used: at the least (calls of ours that are under way may not be in its count).
-- Locks: the organisation's row.
-- Index: organizations_pkey.
with closing as (
  select case
           when %(close_s)s::float8 is not null
             then zohosync.current_time() + make_interval(secs => %(close_s)s)
           when %(until_midnight)s
             then (((zohosync.current_time() - make_interval(secs => %(day_guard_s)s))
                      at time zone time_zone)::date + 1)::timestamp at time zone time_zone
                  + make_interval(secs => %(day_guard_s)s) end as until,
         ((zohosync.current_time() - make_interval(secs => %(day_guard_s)s))
            at time zone time_zone)::date as today
    from zohosync.organizations where org_id = %(org_id)s
)
update zohosync.organizations o
   set closed_until = case when %(healthy)s and o.closed_until <= zohosync.current_time()
                             then closing.until  -- one call found out that it is open again
                           else greatest(o.closed_until, closing.until) end,
       closed_reason = case when closing.until < o.closed_until then o.closed_reason
                            else coalesce(%(reason)s, o.closed_reason) end,
       mints_closed_until = case when %(close_mints_s)s::float8 is null then o.mints_closed_until
         else greatest(o.mints_closed_until,
           zohosync.current_time() + make_interval(secs => %(close_mints_s)s)) end,
       paused = coalesce(%(pause)s, o.paused),
       overloads = case when %(overload)s then
                          greatest(o.overloads, least(o.overloads + 1, %(overloads_max)s::integer))
                        when %(healthy)s then 0 else o.overloads end,
       quota_left = coalesce(%(quota_left)s, o.quota_left),
       quota_limit = coalesce(%(quota_limit)s, o.quota_limit),
       day_foreign = case when o.day = closing.today then
         greatest(o.day_foreign, %(quota_limit)s::integer - %(quota_left)s::integer - o.day_calls)
         else o.day_foreign end
  from closing
 where o.org_id = %(org_id)s
returning o.overloads
