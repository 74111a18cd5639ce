-- Promise: the highest step of the day's limit that is reached and that nobody was told of: one row
--   for whoever comes first, none for all others. (`warn_at` of the limits stands for the lowest.)
-- Locks: the day's row.
-- Index: usage_days_pkey, organizations_pkey.
update zohosync.usage_days u
   set warned = reached.step, warned_at = zohosync.current_time()
  from zohosync.organizations o,
       lateral (select max(s.step)::smallint as step
                  from unnest(%(steps)s::integer[]) with ordinality as s (step, place),
                       zohosync.usage_days d
                 where d.org_id = o.org_id and d.day = o.day
                   and d.calls + d.foreign_calls >= case
                     when s.place = 1 and (o.limits ->> 'warn_at')::integer is not null
                       then (o.limits ->> 'warn_at')::integer
                     else ceil(s.step * d.per_day / 100.0) end) as reached
 where o.org_id = %(org_id)s and u.org_id = o.org_id and u.day = o.day and u.per_day is not null
   and u.warned < reached.step
returning u.day, u.warned, u.calls, u.foreign_calls, u.per_day
