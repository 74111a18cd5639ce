-- Promise: who works on this organisation, and how long ago each was seen, in seconds.
-- Locks: none.
-- Index: none (a handful of rows).
select w.worker, w.host, w.pid, w.version, w.started_at,
       extract(epoch from zohosync.current_time() - w.heartbeat_at)::float8 as seen_s
  from zohosync.workers w where w.org_id = %(org_id)s order by w.started_at
