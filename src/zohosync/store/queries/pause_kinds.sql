-- Promise: these kinds are paused or open from now on, and the organisation is open with them (with none
--   it alone); the act is in the audit.
-- Locks: the organisation's row.
-- Index: organizations_pkey.
with changed as (
  update zohosync.organizations o
     set paused_kinds = case when %(pause)s
           then array(select distinct k from unnest(o.paused_kinds || %(kinds)s::text[]) k order by k)
           else array(select k from unnest(o.paused_kinds) k where k <> all (%(kinds)s::text[])) end,
         brakes = case when %(pause)s then o.brakes else o.brakes - %(kinds)s::text[] end,
         paused = case when %(pause)s then o.paused else null end
   where o.org_id = %(org_id)s
  returning o.org_id, o.paused_kinds
), noted as (
  insert into zohosync.audit (org_id, act, target, why)
  select org_id, case when %(pause)s then 'pause' else 'resume' end,
         coalesce(nullif(array_to_string(%(kinds)s::text[], ' '), ''), 'organisation'), %(why)s
    from changed
)
select paused_kinds from changed
