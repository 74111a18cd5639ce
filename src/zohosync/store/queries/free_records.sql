-- Promise: a person says that none of what was named to them is these rows: they are made like any other,
--   and none of it is a candidate again. Where something else may be one by now, nothing changes.
-- Locks: those records.
-- Index: records_rivals.
with said as materialized (
  select key, candidates
    from jsonb_to_recordset(%(rows)s::jsonb) as f (key text, candidates text[])
), freed as (
  update zohosync.records r
     set rivals = '{}', excluded = r.excluded || r.rivals,
         status = case when r.status = 'failed' then 'pending' else r.status end,
         due_at = case when r.status = 'failed' then zohosync.current_time() else r.due_at end
    from said s
   where r.org_id = %(org_id)s and r.kind = %(kind)s and r.key = s.key
     and r.zoho_id is null and r.intent_id is null and r.rivals <> '{}'
     and (s.candidates is null or r.rivals <@ s.candidates)
  returning r.key
), noted as (
  insert into zohosync.audit (org_id, act, target, why)
  select %(org_id)s, 'settle', %(kind)s || ' ' || key, 'nothing in Zoho is it' from freed
)
select key from freed
