-- Promise: what a stopping worker still holds is given back at once.
-- Locks: those records.
-- Index: records_leased.
update zohosync.records r
   set status = case when r.intent_id is null then 'pending' else 'uncertain' end,
       due_at = coalesce(r.due_at, zohosync.current_time()), lease_until = null,
       lease_worker = null, lease_epoch = r.lease_epoch + 1
 where r.lease_until is not null and r.lease_worker = %(worker)s
