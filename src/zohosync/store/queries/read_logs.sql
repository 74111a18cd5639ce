-- Promise: the newest attempts, of all records, of a kind or of one record, with what was sent and answered
--   (redacted).
-- Locks: none.
-- Index: sync_logs_record for one record; else sync_logs_pkey, backwards.
select l.log_id, l.created_at, l.kind, l.key, l.step, l.status, l.result, l.attempt_number,
       l.zoho_entity_id, l.error_class, l.error_code, l.error_field, l.error_message,
       l.request_payload, l.response_payload, l.duration_ms, l.calls, l.worker
  from zohosync.sync_logs l
 where l.org_id = %(org_id)s
   and (%(kind)s::text is null or l.kind = %(kind)s)
   and (%(key)s::text is null or l.key = %(key)s)
 order by l.log_id desc limit %(limit)s
