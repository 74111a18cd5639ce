-- Promise: calls that left, or may have left, since an instant, of the newest `newest` ones: by lane, and
--   when the first of them did.
-- Locks: none.
-- Index: api_calls_pkey (so many of it, however long the journal).
select c.lane, count(*)::int as calls, min(c.started_at) as first_at
  from (select org_id, door, sent, lane, started_at from zohosync.api_calls
         order by call_id desc limit %(newest)s) c
 where c.org_id = %(org_id)s and c.door = 'api' and c.sent is not false
   and c.started_at >= %(since)s::timestamptz
 group by c.lane order by c.lane desc
