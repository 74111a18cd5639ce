-- Promise: calls that left, or may have left, since an instant: by day of the organisation's own, lane,
--   kind and operation.
-- Locks: none.
-- Index: api_calls_started.
select (c.started_at at time zone o.time_zone)::date as day, c.lane, c.kind, c.operation,
       count(*)::int as calls,
       count(*) filter (where c.outcome = 'throttled')::int as refused,
       min(c.started_at) as first_at
  from zohosync.api_calls c
  join zohosync.organizations o on o.org_id = c.org_id
 where c.org_id = %(org_id)s and c.door = 'api' and c.sent is not false
   and c.started_at >= %(since)s::timestamptz
 group by 1, c.lane, c.kind, c.operation
 order by 1, c.lane desc, c.kind, c.operation
