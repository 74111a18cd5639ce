-- Promise: of the newest `newest` attempts those since an instant: how many brought a record into step,
--   and the calls of all of them.
-- Locks: none.
-- Index: sync_logs_pkey (so many of it, however long the log).
select count(*) filter (where l.status = 'success')::int as records,
       coalesce(sum(l.calls), 0)::int as calls
  from (select org_id, status, calls, created_at from zohosync.sync_logs
         order by log_id desc limit %(newest)s) l
 where l.org_id = %(org_id)s and l.created_at >= %(since)s::timestamptz
