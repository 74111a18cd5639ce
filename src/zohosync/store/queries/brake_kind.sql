-- Promise: the kind is paused from now on, for this cause; nobody waits for its count any more; the act
--   is in the audit. No row where the brake holds it already: that was told.
-- Locks: the organisation's row.
-- Index: organizations_pkey.
with changed as (
  update zohosync.organizations o
     set paused_kinds = array(select distinct k from unnest(o.paused_kinds || %(kind)s::text) k
                               order by k),
         held_kinds = array_remove(o.held_kinds, %(kind)s::text),
         brakes = o.brakes || jsonb_build_object(%(kind)s::text, jsonb_build_object(
           'cause', %(cause)s::text, 'why', %(why)s::text, 'count', %(count)s::integer,
           'at', zohosync.current_time()))
   where o.org_id = %(org_id)s and not o.brakes ? %(kind)s::text
  returning o.org_id
), noted as (
  insert into zohosync.audit (org_id, act, target, why)
  select org_id, 'brake', %(kind)s, %(why)s from changed
)
select org_id from changed
