-- Promise: how a call ended; its place in flight is free now, its place in the remote's minute after the
--   guarded minute, or at once when not one byte of it left.
-- Locks: the journal row.
-- Index: api_calls_pkey.
update zohosync.api_calls c
   set finished_at = zohosync.current_time(), sent = %(sent)s, status = %(status)s, code = %(code)s,
       outcome = %(outcome)s, latency_ms = %(latency_ms)s,
       counts_until = case when %(sent)s
         then zohosync.current_time() + make_interval(secs => %(minute_s)s)
         else zohosync.current_time() end
 where c.call_id = %(call_id)s and c.finished_at is null
returning c.call_id
