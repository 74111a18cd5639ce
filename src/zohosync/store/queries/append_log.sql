-- Promise: one row per attempt, success included; the calls are those that left under its lease.
-- Locks: none.
-- Index: api_calls_record.
insert into zohosync.sync_logs (org_id, kind, key, version, zoho_entity_type, zoho_entity_id, step,
  status, result, attempt_number, error_class, error_code, error_field, error_message,
  request_payload, response_payload, duration_ms, calls, worker)
values (%(org_id)s, %(kind)s, %(key)s, %(version)s, %(entity_type)s, %(zoho_id)s, %(step)s,
  %(status)s, %(result)s, %(attempt)s, %(error_class)s, %(error_code)s, %(error_field)s,
  %(error_message)s, %(request)s, %(response)s, %(duration_ms)s, 
  (select count(*) from zohosync.api_calls c
    where c.org_id = %(org_id)s and c.kind = %(kind)s and c.key = %(key)s
      and c.lease_epoch = %(epoch)s and c.sent is not false), %(worker)s)
returning calls
