-- Promise: how many records were brought into step since an instant, and the calls of all attempts.
-- Locks: none.
-- Index: sync_logs_created.
select count(*) filter (where l.status = 'success')::int as records,
       coalesce(sum(l.calls), 0)::int as calls
  from zohosync.sync_logs l
 where l.org_id = %(org_id)s and l.created_at >= %(since)s::timestamptz
