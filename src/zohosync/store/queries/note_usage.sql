-- Promise: the day's totals of ours and of others, the highest that anybody saw, kept for the report.
-- Locks: the day's row.
-- Index: usage_days_pkey, organizations_pkey.
insert into zohosync.usage_days as u (org_id, day, calls, foreign_calls, per_day)
select o.org_id, o.day, o.day_calls, o.day_foreign, (o.limits ->> 'per_day')::integer
  from zohosync.organizations o
 where o.org_id = %(org_id)s and o.day is not null and o.day_calls + o.day_foreign > 0
on conflict (org_id, day) do update
   set calls = greatest(u.calls, excluded.calls),
       foreign_calls = greatest(u.foreign_calls, excluded.foreign_calls),
       per_day = excluded.per_day
