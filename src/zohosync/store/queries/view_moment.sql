-- Promise: how the organisation stands at this moment, in figures that cost the same whatever the size
--   of the book: marks that nobody has folded yet (counted up to 10,000), seconds that the oldest due
--   record waits, workers that are alive, calls in flight.
-- Locks: none.
-- Index: records_due, api_calls_counting.
-- (Time stands in sub-selects of its own, else it is no index condition.)
select (select count(*)::int from (select from zohosync.marks limit 10000) m) as marks,
       greatest(0, extract(epoch from zohosync.current_time() - (
         select min(d.due_at)
           from unnest(%(priorities)s::smallint[]) as lane (priority),
                lateral (select r.due_at from zohosync.records r
                          where r.org_id = %(org_id)s and r.priority = lane.priority
                            and r.due_at is not null and r.lease_until is null
                          order by r.due_at limit 1) d)))::float8 as oldest_due_s,
       (select count(*)::int from zohosync.workers w
         where w.org_id = %(org_id)s
           and w.heartbeat_at > zohosync.current_time() - make_interval(secs => %(alive_s)s)) as workers,
       (select count(*)::int from zohosync.api_calls c
         where c.org_id = %(org_id)s and c.door = 'api' and c.finished_at is null
           and c.counts_until > (select zohosync.current_time())
           and c.deadline > zohosync.current_time()) as in_flight
