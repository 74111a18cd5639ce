-- Promise: what each of these mappings is from now on; a kind whose mapping was another one before is held
--   until somebody has counted what the new one would change. Returns the kinds that are held.
-- Locks: the organisation's row, where something is new.
-- Index: organizations_pkey.
with changed as (
  update zohosync.organizations o
     set mappings = o.mappings || %(mappings)s::jsonb,
         held_kinds = array(
           select distinct k from unnest(o.held_kinds || array(
             select m.key from jsonb_each_text(%(mappings)s::jsonb) m
              where o.mappings ->> m.key <> m.value)) k order by k)
   where o.org_id = %(org_id)s and not o.mappings @> %(mappings)s::jsonb
  returning o.held_kinds
)
select held_kinds from changed
