-- Promise: how long until there is something to do in these lanes: marks unfolded, or the next due
--   record of one that is open by then.
-- Locks: none.
-- Index: records_due (of the marks, the first one met is enough).
select o.active and exists (select from zohosync.marks) as marks,
       extract(epoch from (
         select min(greatest(r.due_at, (o.lanes_closed ->> lane.priority::text)::timestamptz))
           from unnest(%(priorities)s::smallint[]) as lane (priority),
           lateral (select d.due_at from zohosync.records d
                     where d.org_id = o.org_id and d.priority = lane.priority
                       and d.due_at is not null and d.lease_until is null
                       and case when d.kind = any (o.paused_kinds || o.held_kinds) then false else true end
                     order by d.due_at limit 1) r) - zohosync.current_time())::float8 as due_in_s,
       extract(epoch from o.closed_until - zohosync.current_time())::float8 as closed_for_s,
       o.closed_reason, o.paused, o.overloads
  from zohosync.organizations o where o.org_id = %(org_id)s
