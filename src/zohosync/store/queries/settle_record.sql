-- Promise: the end of an attempt, what is known now of its open intent, and its row in the log, all
--   written only while the lease is still ours (epoch); a mark that came in between leaves the record
--   pending, as does a doubt that this attempt did not look into (to_check). The calls logged are
--   those that left under its lease, the changes those marks that it brought into step; what all
--   attempts took since the record last came to an end goes on with it. No row when the lease was lost.
-- Locks: the record, then the intent's journal row.
-- Index: records_pkey, api_calls_pkey, api_calls_record.
with held as materialized (
  select r.org_id, r.kind, r.key, r.intent_id, r.synced_version, e.ending,
         r.spent_ms + case when e.ending = 0 then 0 else %(duration_ms)s end as spent_ms,
         (select count(*)::integer from zohosync.api_calls c
           where c.org_id = r.org_id and c.kind = r.kind and c.key = r.key
             and c.lease_epoch = %(epoch)s and c.sent is not false) as calls, r.spent_calls
    from zohosync.records r,
         lateral (select zohosync.ending(%(log_status)s, %(result)s, %(step)s) as ending) e
   where r.org_id = %(org_id)s and r.kind = %(kind)s and r.key = %(key)s
     and r.lease_epoch = %(epoch)s and r.lease_until is not null
     for no key update of r
), noted as (
  update zohosync.api_calls c
     set intent_state = case when c.intent_state = 'duplicate' and %(intent_state)s = 'open'
                             then 'duplicate' else %(intent_state)s end,
         intent = coalesce(%(closed_intent)s::jsonb, c.intent),
         absent_at = case when %(absent)s then zohosync.current_time() else c.absent_at end
    from held h
   where c.call_id = h.intent_id
), settled as (
  update zohosync.records r
     set status = case when r.version > %(version)s and %(status)s in ('synced', 'failed', 'skipped')
                       then 'pending'
                       when r.to_check and not %(looked)s
                         and %(status)s in ('synced', 'failed', 'skipped')
                       then 'pending' else %(status)s end,
         due_at = case
           when r.to_check and not %(looked)s
             and %(status)s in ('synced', 'failed', 'skipped', 'waiting')
             then zohosync.current_time()
           when r.version > %(version)s and %(status)s = 'synced' and r.priority < 10
             then zohosync.current_time() + %(debounce)s
           when r.version > %(version)s and %(status)s in ('synced', 'failed', 'skipped', 'waiting')
             then zohosync.current_time()
           when %(due_in_s)s = 0 then least(r.marked_at, zohosync.current_time())  -- goes on
         else zohosync.current_time() + make_interval(secs => %(due_in_s)s) end,
         synced_version = case when %(status)s in ('synced', 'skipped') then %(version)s
                               else r.synced_version end,
         attempts = %(attempts)s, looks = %(looks)s,
         zoho_id = coalesce(%(zoho_id)s, r.zoho_id),
         payload = coalesce(%(payload)s::jsonb, r.payload),
         fingerprint = coalesce(%(fingerprint)s, r.fingerprint),
         remote_state = coalesce(%(remote_state)s, r.remote_state),
         hints = r.hints || %(hints)s::jsonb,
         identity = coalesce(%(identity)s::jsonb, r.identity),
         gone = coalesce(%(gone)s, r.gone), asked = %(asked)s,
         to_check = r.to_check and not %(checked)s and r.zoho_id is not null,
         intent_id = case when %(keep_intent)s then r.intent_id end,
         waiting_kind = %(waiting_kind)s, waiting_key = %(waiting_key)s,
         waiting_needs = %(waiting_needs)s,
         error_class = %(error_class)s, error_code = %(error_code)s, error_field = %(error_field)s,
         error_message = %(error_message)s,
         success_at = case when %(succeeded)s then zohosync.current_time() else r.success_at end,
         settled_at = zohosync.current_time(),
         spent_ms = case when h.ending in (1, 2) or %(log_status)s = 'skipped' then 0
                         else h.spent_ms end,
         spent_calls = case when h.ending in (1, 2) or %(log_status)s = 'skipped' then 0
                            else h.spent_calls + h.calls end,
         lease_until = null, lease_worker = null
    from held h
   where r.org_id = h.org_id and r.kind = h.kind and r.key = h.key
  returning r.org_id, r.kind, r.key, r.status, r.zoho_id, h.synced_version as synced_before,
    h.calls, h.spent_ms, h.spent_calls + h.calls as spent_calls
), logged as (
  insert into zohosync.sync_logs (org_id, kind, key, version, zoho_entity_type, zoho_entity_id,
    step, status, result, attempt_number, error_class, error_code, error_field, error_message,
    request_payload, response_payload, duration_ms, calls, worker, changes, reads_saved, sync_ms,
    sync_calls)
  select s.org_id, s.kind, s.key, %(version)s, %(entity_type)s, s.zoho_id,
    %(step)s, %(log_status)s, %(result)s, %(attempt)s,
    %(error_class)s, %(error_code)s, %(error_field)s, %(log_message)s,
    %(request)s::jsonb, %(response)s::jsonb, %(duration_ms)s,
    s.calls, %(worker)s,
    case when %(status)s = 'synced' then greatest(0, %(version)s - s.synced_before) else 0 end,
    %(reads_saved)s, s.spent_ms, s.spent_calls
    from settled s
  returning calls
)
select s.status, l.calls from settled s, logged l
