-- Promise: calls that left, or may have left, since an instant, by lane, and when the first of them did.
-- Locks: none.
-- Index: api_calls_started.
select c.lane, count(*)::int as calls, min(c.started_at) as first_at
  from zohosync.api_calls c
 where c.org_id = %(org_id)s and c.door = 'api' and c.sent is not false
   and c.started_at >= %(since)s::timestamptz
 group by c.lane order by c.lane desc
