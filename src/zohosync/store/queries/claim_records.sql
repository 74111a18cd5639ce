-- Promise: up to `limit` due records under a fresh lease, highest priority first, oldest first (of one
--   instant by kind and key), of each lane no more than `most` and the first `least` before all others,
--   of those below live no more than `lower` together, and none of a lane that is closed; nor of a kind
--   that is paused, whose changed mapping is still to be counted, or of which another process has a newer
--   mapping than ours; nobody else holds them; `version` is the one before the row is read; an open intent comes with them.
-- Locks: the claimed records (SKIP LOCKED).
-- Index: records_due, once per priority.
-- (Time stands in a sub-select of its own, else it is no index condition and all that is not due yet
--   is read, too. The case hides the kinds from the planner: with one kind it takes `<> all` for one
--   row, and scans.)
with found as materialized (
  select r.kind, r.key, r.due_at, lane.place, lane.priority < 10 as lower,
         row_number() over (partition by lane.place order by r.due_at, r.kind, r.key)
           > lane.least as last
    from zohosync.organizations o,
         lateral (select o.paused_kinds || o.held_kinds || array(
                    select m.key from jsonb_each_text(o.mappings) m
                     where m.value <> %(mappings)s::jsonb ->> m.key) as kinds) shut,
         lateral unnest(%(priorities)s::smallint[], %(most)s::integer[], %(least)s::integer[])
           with ordinality as lane (priority, most, least, place),
         lateral (select kind, key, due_at from zohosync.records d
                   where d.org_id = %(org_id)s and d.priority = lane.priority
                     and d.due_at <= (select zohosync.current_time()) and d.lease_until is null
                     and case when d.kind = any (shut.kinds) then false else true end
                   order by d.due_at, d.kind, d.key limit lane.most
                     for update skip locked) r
   where o.org_id = %(org_id)s and o.paused is null and o.overloads < %(down_after)s
     and (o.closed_until is null or o.closed_until <= zohosync.current_time())
     and coalesce((o.lanes_closed ->> lane.priority::text)::timestamptz, '-infinity')
           <= zohosync.current_time()
), due as materialized (
  select kind, key
    from (select f.*, row_number() over (
                        partition by lower order by last, place, due_at, kind, key) as number
            from found f) f
   where not lower or number <= %(lower)s
   order by last, place, due_at, kind, key limit %(limit)s
), before as materialized (
  select r.kind, r.key, r.status, c.operation as intent_operation, c.intent, c.intent_total,
         c.deadline as intent_deadline, c.absent_at, c.intent_state
    from due
    join zohosync.records r on r.org_id = %(org_id)s and r.kind = due.kind and r.key = due.key
    left join zohosync.api_calls c on c.call_id = r.intent_id
)
update zohosync.records r
   set status = 'syncing', lease_epoch = r.lease_epoch + 1, lease_worker = %(worker)s,
       lease_until = zohosync.current_time() + make_interval(secs => %(lease_s)s)
  from before b
 where r.org_id = %(org_id)s and r.kind = b.kind and r.key = b.key
returning r.kind, r.key, r.version, r.lease_epoch, r.priority, b.status, r.attempts, r.looks,
  r.zoho_id, r.payload, r.remote_state, r.identity, r.gone, r.to_check, r.hints, r.due_at,
  r.rivals, r.excluded,
  r.intent_id,
  b.intent_operation, b.intent, b.intent_total, b.intent_deadline, b.absent_at, b.intent_state,
  zohosync.current_time() as claimed_at
