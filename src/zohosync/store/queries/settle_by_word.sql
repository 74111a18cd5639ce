-- Promise: what a person's word says is known of the record, it is due, its intent is over where the word
--   says so, and the act is in the audit with before and after: all of it, or nothing. Only while the
--   record is as it was looked at (epoch, version, link, intent, rivals) and nobody works on it. Whoever
--   held it before can neither send nor settle. No row when it changed meanwhile.
-- Locks: the record, then the intent's journal row.
-- Index: records_pkey, api_calls_pkey.
with held as materialized (
  select r.org_id, r.kind, r.key, r.intent_id,
         jsonb_build_object('status', r.status, 'zoho_id', r.zoho_id, 'payload', r.payload,
           'remote_state', r.remote_state, 'identity', r.identity, 'gone', r.gone,
           'rivals', r.rivals, 'excluded', r.excluded, 'intent_id', r.intent_id,
           'error_message', r.error_message) as before
    from zohosync.records r
   where r.org_id = %(org_id)s and r.kind = %(kind)s and r.key = %(key)s
     and r.lease_until is null and r.lease_epoch = %(epoch)s and r.version = %(version)s
     and r.zoho_id is not distinct from %(linked)s and r.intent_id is not distinct from %(intent_id)s
     and r.rivals = %(rivals_seen)s::text[]
     for no key update
), noted as (
  update zohosync.api_calls c set intent_state = 'closed', intent = coalesce(%(closed_intent)s::jsonb, c.intent)
    from held h
   where c.call_id = h.intent_id and %(closes)s
), settled as (
  update zohosync.records r
     set status = 'pending', due_at = zohosync.current_time(), lease_epoch = r.lease_epoch + 1,
         priority = greatest(r.priority, 5), attempts = 0, looks = 0,
         zoho_id = %(zoho_id)s, payload = %(payload)s::jsonb, fingerprint = %(fingerprint)s,
         remote_state = %(remote_state)s, hints = %(hints)s::jsonb,
         identity = coalesce(%(identity)s::jsonb, r.identity), gone = coalesce(%(gone)s, r.gone),
         rivals = %(rivals)s::text[], excluded = %(excluded)s::text[],
         to_check = r.to_check and r.zoho_id is not distinct from %(zoho_id)s,
         accepted = case when r.zoho_id is not distinct from %(zoho_id)s then r.accepted
                         else '{}' end,
         proof = case when r.zoho_id is not distinct from %(zoho_id)s then r.proof else '{}' end,
         intent_id = case when %(closes)s then null else r.intent_id end,
         waiting_kind = null, waiting_key = null, waiting_needs = '{}',
         error_class = null, error_code = null, error_field = null, error_message = null
    from held h
   where r.org_id = h.org_id and r.kind = h.kind and r.key = h.key
  returning r.org_id, r.kind, r.key, h.before,
         jsonb_build_object('status', r.status, 'zoho_id', r.zoho_id, 'payload', r.payload,
           'remote_state', r.remote_state, 'identity', r.identity, 'gone', r.gone,
           'rivals', r.rivals, 'excluded', r.excluded, 'intent_id', r.intent_id,
           'heir_of', %(heir_of)s::text) as after
)
insert into zohosync.audit (org_id, act, target, why, before, after)
select s.org_id, 'settle --' || %(word)s, s.kind || ' ' || s.key, %(why)s, s.before, s.after
  from settled s
returning audit_id
