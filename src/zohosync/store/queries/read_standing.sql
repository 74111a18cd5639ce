-- Promise: one record as a person's word finds it: as a claim would, with what it may be.
-- Locks: none.
-- Index: records_pkey, api_calls_pkey.
select r.kind, r.key, r.version, r.lease_epoch, r.priority, r.status, r.attempts, r.looks,
       r.zoho_id, r.payload, r.remote_state, r.identity, r.gone, r.to_check, r.hints, r.due_at,
       r.excluded, r.rivals, r.lease_until is not null as leased, r.error_class, r.error_field,
       r.intent_id, c.operation as intent_operation, c.intent, c.intent_total,
       c.deadline as intent_deadline, c.absent_at, c.intent_state,
       zohosync.current_time() as claimed_at
  from zohosync.records r
  left join zohosync.api_calls c on c.call_id = r.intent_id
 where r.org_id = %(org_id)s and r.kind = %(kind)s and r.key = %(key)s
