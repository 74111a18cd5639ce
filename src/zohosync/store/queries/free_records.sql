-- Promise: a person says that none of what is in Zoho is these rows: they are made like any other.
-- Locks: those records.
-- Index: records_rivals.
with freed as (
  update zohosync.records
     set rivals = '{}', excluded = excluded || rivals,
         status = case when status = 'failed' then 'pending' else status end,
         due_at = case when status = 'failed' then zohosync.current_time() else due_at end
   where org_id = %(org_id)s and kind = %(kind)s and key = any (%(keys)s::text[])
     and zoho_id is null and intent_id is null and rivals <> '{}'
  returning key
), noted as (
  insert into zohosync.audit (org_id, act, target, why)
  select %(org_id)s, 'settle', %(kind)s || ' ' || key, 'nothing in Zoho is it' from freed
)
select key from freed
