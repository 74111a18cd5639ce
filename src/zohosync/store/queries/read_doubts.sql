-- Promise: the records that wait for a person's word, with their evidence: the open intent and its call,
--   the newest look-ups with what they found, the calls made since, and why compare holds one back.
-- Locks: none.
-- Index: records_status, records_rivals, api_calls_pkey, api_calls_record, sync_logs_record,
--   compared_key.
with doubtful as materialized (
  select r.* from zohosync.records r
   where r.org_id = %(org_id)s and r.status in ('uncertain', 'failed')
     and (r.status = 'uncertain' or r.error_code = any (%(codes)s::text[])
          or (r.error_class = 'not_found' and r.zoho_id is not null))
  union all
  select r.* from zohosync.records r
   where r.org_id = %(org_id)s and r.rivals <> '{}' and r.zoho_id is null
     and r.status <> 'uncertain'
     and not (r.status = 'failed' and coalesce(r.error_code = any (%(codes)s::text[]), false))
)
select d.kind, d.key, d.status, d.zoho_id, d.remote_state, d.gone, d.identity, d.rivals, d.excluded,
       d.error_class, d.error_code, d.error_field, d.error_message, d.due_at, d.lease_worker,
       c.operation as intent_operation, c.intent, c.intent_total, c.started_at as intent_at,
       c.deadline as intent_deadline, c.method, c.path, c.outcome, c.status as reply_status,
       c.code as reply_code, c.absent_at, c.intent_state, looks.looks, calls.calls,
       compared.reason as compared, zohosync.current_time() as now
  from doubtful d
  left join zohosync.api_calls c on c.call_id = d.intent_id
  cross join lateral (
    select coalesce(jsonb_agg(jsonb_build_object('at', l.created_at, 'look', l.step,
             'result', l.result, 'found', l.error_message) order by l.log_id), '[]') as looks
      from (select * from zohosync.sync_logs l
             where l.org_id = d.org_id and l.kind = d.kind and l.key = d.key
               and l.step in ('verify', 'link', 'check', 'seed')
             order by l.log_id desc limit 4) l) looks
  cross join lateral (
    select coalesce(jsonb_agg(jsonb_build_object('at', k.started_at, 'call',
             k.method || ' ' || k.path, 'status', k.status, 'outcome', k.outcome)
             order by k.call_id), '[]') as calls
      from (select * from zohosync.api_calls k
             where k.org_id = d.org_id and k.kind = d.kind and k.key = d.key
               and k.call_id > d.intent_id
             order by k.call_id desc limit 4) k) calls
  left join lateral (
    select p.reason from zohosync.compared p
     where p.org_id = d.org_id and p.kind = d.kind and p.key = d.key
     order by p.compared_id desc limit 1) compared on true
 where %(kind)s::text is null or d.kind = %(kind)s
 order by d.kind, d.key limit %(limit)s
