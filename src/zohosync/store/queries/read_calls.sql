-- Promise: the newest calls, of all records, of a kind or of one record; never what they carried.
-- Locks: none.
-- Index: api_calls_record for one record; else api_calls_pkey, backwards.
select c.call_id, c.started_at, c.kind, c.key, c.operation, c.method, c.path, c.lane, c.sent,
       c.status, c.code, c.outcome, c.latency_ms, c.intent_state, c.worker
  from zohosync.api_calls c
 where c.org_id = %(org_id)s
   and (%(kind)s::text is null or c.kind = %(kind)s)
   and (%(key)s::text is null or c.key = %(key)s)
 order by c.call_id desc limit %(limit)s
