-- Promise: what is known of the named records, as a claim would find them, without taking them.
-- Locks: none.
-- Index: records_pkey, api_calls_pkey.
select r.kind, r.key, r.version, r.lease_epoch, r.priority, r.status, r.attempts, r.looks,
       r.zoho_id, r.payload, r.remote_state, r.identity, r.gone, r.to_check, r.hints, r.due_at,
       r.rivals, r.excluded,
       r.intent_id,
       c.operation as intent_operation, c.intent, c.intent_total, c.deadline as intent_deadline,
       c.absent_at, c.intent_state, zohosync.current_time() as claimed_at
  from unnest(%(keys)s::text[]) as named (key)
  join zohosync.records r on r.org_id = %(org_id)s and r.kind = %(kind)s and r.key = named.key
  left join zohosync.api_calls c on c.call_id = r.intent_id
