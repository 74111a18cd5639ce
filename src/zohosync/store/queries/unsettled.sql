-- Promise: what keeps a run from being idle: marks, leases, and records that will move by themselves
--   within the horizon (a record that waits on a parent which rests does not); and the kinds whose
--   changed mapping is still to be counted.
-- Locks: none.
-- Index: records_leased, records_oldest.
select (select count(*) from (select from zohosync.marks where o.active limit 1000) m)::int as marks,
       (select count(*) from zohosync.records r where r.lease_until is not null)::int as leased,
       (select count(*) from zohosync.records r
         where r.org_id = o.org_id and r.lease_until is null and r.due_at is not null
           and r.kind <> all (o.paused_kinds)
           and r.due_at < zohosync.current_time() + make_interval(secs => %(horizon_s)s))::int
         + cardinality(o.held_kinds) as due,
       extract(epoch from o.closed_until - zohosync.current_time())::float8 as closed_for_s,
       o.closed_reason, o.paused
  from zohosync.organizations o where o.org_id = %(org_id)s
