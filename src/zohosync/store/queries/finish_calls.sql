-- Promise: how these calls ended; the place of each in flight is free now, its place in the remote's
--   minute after the guarded minute, or at once when not one byte of it left. Nobody waits for the
--   disk: a call whose end a crash of the database takes back is one that may still be under way,
--   and whatever is written of its record later takes this along.
-- Locks: the journal rows.
-- Index: api_calls_pkey.
with lazily as materialized (select set_config('synchronous_commit', 'off', true))
update zohosync.api_calls c
   set finished_at = zohosync.current_time(), sent = e.sent, status = e.status, code = e.code,
       outcome = e.outcome, latency_ms = e.latency_ms,
       counts_until = case when e.sent
         then zohosync.current_time() + make_interval(secs => %(minute_s)s)
         else zohosync.current_time() end
  from lazily, unnest(%(call_ids)s::bigint[], %(sent)s::boolean[], %(statuses)s::integer[],
              %(codes)s::text[], %(outcomes)s::text[], %(latencies_ms)s::integer[])
         as e (call_id, sent, status, code, outcome, latency_ms)
 where c.call_id = e.call_id and c.finished_at is null
returning c.call_id
