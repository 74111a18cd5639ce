-- Promise: the days kept since a date, the newest first: calls of ours and of others, who was warned.
-- Locks: none.
-- Index: usage_days_pkey.
select u.day, u.calls, u.foreign_calls, u.per_day, u.warned, u.warned_at
  from zohosync.usage_days u
 where u.org_id = %(org_id)s and u.day >= %(day)s::date
 order by u.day desc
