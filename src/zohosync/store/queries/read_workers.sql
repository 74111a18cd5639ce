-- Promise: who works on this organisation, how long ago each was seen, in seconds, and which one leads.
-- Locks: none.
-- Index: none (a handful of rows).
select w.worker, w.host, w.pid, w.version, w.started_at,
       extract(epoch from zohosync.current_time() - w.heartbeat_at)::float8 as seen_s,
       exists (select from zohosync.leaders l where l.org_id = w.org_id and l.worker = w.worker
                  and l.until > zohosync.current_time()) as leader
  from zohosync.workers w where w.org_id = %(org_id)s order by w.started_at
