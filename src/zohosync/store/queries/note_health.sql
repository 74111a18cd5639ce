-- Promise: how the organisation was judged is kept, with since when it stands so; the state before, null
--   when it was never judged.
-- Locks: its row.
-- Index: health_pkey. (The state before is that of this statement's snapshot.)
insert into zohosync.health as h (org_id, state, checks)
values (%(org_id)s, %(state)s, %(checks)s::jsonb)
on conflict (org_id) do update
   set state = excluded.state, checks = excluded.checks, judged_at = zohosync.current_time(),
       since = case when h.state = excluded.state then h.since else zohosync.current_time() end
returning h.since, (
  select b.state from zohosync.health b where b.org_id = %(org_id)s) as state_before
