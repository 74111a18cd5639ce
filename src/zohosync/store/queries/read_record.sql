-- Promise: one record as it stands, with its open intent and the seconds until it is due.
-- Locks: none.
-- Index: records_pkey, api_calls_pkey.
select r.*, extract(epoch from r.due_at - zohosync.current_time())::float8 as due_in_s,
       c.operation as intent_operation, c.started_at as intent_at, c.deadline as intent_deadline,
       c.outcome as intent_outcome, c.absent_at as intent_absent_at, c.intent_state,
       r.kind = any (o.paused_kinds) as kind_paused, o.paused,
       extract(epoch from o.closed_until - zohosync.current_time())::float8 as closed_for_s,
       o.closed_reason,
       exists (select from zohosync.marks m where m.kind = r.kind and m.key = r.key) as marked
  from zohosync.records r
  join zohosync.organizations o using (org_id)
  left join zohosync.api_calls c on c.call_id = r.intent_id
 where r.org_id = %(org_id)s and r.kind = %(kind)s and r.key = %(key)s
