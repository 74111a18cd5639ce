-- Promise: the leases of this worker's live claims run on from now; nothing else is touched.
-- Locks: those records, ordered by kind and key as in open_calls, else the two would wait for each other.
-- Index: records_pkey.
with held as materialized (
  select r.kind, r.key
    from unnest(%(kinds)s::text[], %(keys)s::text[], %(epochs)s::bigint[]) as mine (kind, key, epoch)
    join zohosync.records r on r.org_id = %(org_id)s and r.kind = mine.kind and r.key = mine.key
     and r.lease_epoch = mine.epoch and r.lease_until is not null
   order by r.kind, r.key for no key update of r
)
update zohosync.records r
   set lease_until = zohosync.current_time() + make_interval(secs => %(lease_s)s)
  from held h
 where r.org_id = %(org_id)s and r.kind = h.kind and r.key = h.key
