-- Promise: the kind is open again; the endings of these records, and of no others, are let through, each
--   once; records that were given back meanwhile are due now; the act is in the audit.
-- Locks: the organisation's row, then the kind's let_through, then the woken records.
-- Index: organizations_pkey, let_through_pkey, records_status.
with before as materialized (
  select o.org_id, o.brakes -> %(kind)s::text as brake from zohosync.organizations o
   where o.org_id = %(org_id)s for no key update
), changed as (
  update zohosync.organizations o
     set paused_kinds = array_remove(o.paused_kinds, %(kind)s::text),
         brakes = o.brakes - %(kind)s::text, paused = null
    from before b where o.org_id = b.org_id
  returning o.org_id, o.paused_kinds, b.brake
), forgotten as (
  delete from zohosync.let_through t
   where t.org_id = %(org_id)s and t.kind = %(kind)s and t.key <> all (%(keys)s::text[])
), agreed as (
  insert into zohosync.let_through (org_id, kind, key)
  select c.org_id, %(kind)s, k from changed c, unnest(%(keys)s::text[]) k
  on conflict (org_id, kind, key) do update set since = excluded.since
), woken as (
  update zohosync.records r set due_at = zohosync.current_time()
    from changed c
   where r.org_id = c.org_id and r.kind = %(kind)s and r.status = 'pending'
     and r.lease_until is null and r.due_at > zohosync.current_time()
), noted as (
  insert into zohosync.audit (org_id, act, target, why, before, after)
  select org_id, 'resume', %(kind)s, %(why)s, brake,
         jsonb_build_object('let_through', cardinality(%(keys)s::text[])) from changed
)
select paused_kinds from changed
