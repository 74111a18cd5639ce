-- Promise: what of an organisation alerts are about: its state, the day's use, the last attempt, the oldest
--   work that is due in a lane and kind that are open, and marks that nobody has folded.
-- Locks: none.
-- Index: organizations_pkey, usage_days_pkey, sync_logs_pkey, records_due.
select o.org_id, o.time_zone, o.paused, o.closed_reason, o.overloads, o.brakes, o.kinds, o.paused_kinds,
       extract(epoch from o.closed_until - b.now)::float8 as closed_for_s,
       extract(epoch from o.mints_closed_until - b.now)::float8 as mints_closed_for_s,
       d.today, coalesce(u.warned, 0)::int as warned, u.per_day, u.foreign_calls,
       u.calls + u.foreign_calls as used, attempt.created_at as attempted_at, due.at as due_at,
       o.active and exists (select from zohosync.marks) as marks, b.now
  from zohosync.organizations o
 cross join lateral (select zohosync.current_time() as now) b
 cross join lateral (select (b.now at time zone o.time_zone)::date as today) d
  left join zohosync.usage_days u on u.org_id = o.org_id and u.day = d.today
  left join lateral (select l.created_at from zohosync.sync_logs l where l.org_id = o.org_id
                      order by l.log_id desc limit 1) attempt on true
  left join lateral (
    select min(greatest(r.due_at, (o.lanes_closed ->> lane.priority::text)::timestamptz)) as at
      from unnest(%(priorities)s::smallint[]) as lane (priority),
      lateral (select q.due_at from zohosync.records q
                where q.org_id = o.org_id and q.priority = lane.priority
                  and q.due_at is not null and q.lease_until is null
                  and case when q.kind = any (o.paused_kinds || o.held_kinds) then false else true end
                order by q.due_at limit 1) r) due on true
 where o.org_id = %(org_id)s
