-- Promise: the calls that ended since an instant, by lane, kind and outcome; those that sent not one
--   byte are no calls.
-- Locks: none.
-- Index: api_calls_started.
select c.lane, c.kind, c.outcome, count(*)::int as calls
  from zohosync.api_calls c
 where c.org_id = %(org_id)s and c.door = 'api' and c.sent and c.outcome is not null
   and c.started_at >= %(since)s::timestamptz
 group by c.lane, c.kind, c.outcome
 order by c.lane desc, c.kind, c.outcome
