-- Promise: the leases of this worker's live claims run on from now; nothing else is touched.
-- Locks: those records.
-- Index: records_pkey.
update zohosync.records r
   set lease_until = zohosync.current_time() + make_interval(secs => %(lease_s)s)
  from unnest(%(kinds)s::text[], %(keys)s::text[], %(epochs)s::bigint[]) as mine (kind, key, epoch)
 where r.org_id = %(org_id)s and r.kind = mine.kind and r.key = mine.key
   and r.lease_epoch = mine.epoch and r.lease_until is not null
