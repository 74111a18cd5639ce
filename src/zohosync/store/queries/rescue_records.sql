-- Promise: records whose lease has run out are due again, in the place that they had; a write of theirs
--   that may have happened stays an open intent. The epoch is raised, so a worker that wakes up later
--   can neither send nor settle.
-- Locks: those records (SKIP LOCKED).
-- Index: records_leased.
-- (By ctid, since they are locked: by name, the planner takes them for so many that it reads the book.)
update zohosync.records r
   set status = case when r.intent_id is null then 'pending' else 'uncertain' end,
       due_at = least(r.due_at, zohosync.current_time()), lease_until = null, lease_worker = null,
       lease_epoch = r.lease_epoch + 1
 where r.ctid = any (array(
   select ctid from zohosync.records
    where lease_until < (select zohosync.current_time())
    order by kind, key limit 1000 for update skip locked))
returning r.kind, r.key
