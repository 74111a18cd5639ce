-- Promise: one row per attempt, success included.
-- Locks: none.
-- Index: none (append).
insert into zohosync.sync_logs (org_id, kind, key, version, zoho_entity_type, zoho_entity_id, step,
  status, result, attempt_number, error_class, error_code, error_field, error_message,
  request_payload, response_payload, duration_ms, calls, worker)
values (%(org_id)s, %(kind)s, %(key)s, %(version)s, %(entity_type)s, %(zoho_id)s, %(step)s,
  %(status)s, %(result)s, %(attempt)s, %(error_class)s, %(error_code)s, %(error_field)s,
  %(error_message)s, %(request)s, %(response)s, %(duration_ms)s, %(calls)s, %(worker)s)
