-- Promise: these kinds were counted with the mapping that we have, and are held no more; with `over` the
--   turn is given back, and with `night` this night's sweep is done. Nothing where the turn is another's.
-- Locks: the organisation's row.
-- Index: organizations_pkey.
update zohosync.organizations o
   set held_kinds = array(select k from unnest(o.held_kinds) k
                           where k <> all (%(kinds)s::text[])
                              or o.mappings ->> k is distinct from %(mappings)s::jsonb ->> k),
       swept_at = case when %(night)s then zohosync.current_time() else o.swept_at end,
       sweeper = case when not %(over)s then o.sweeper end,
       sweep_until = case when not %(over)s then o.sweep_until end
 where o.org_id = %(org_id)s and o.sweeper = %(worker)s
