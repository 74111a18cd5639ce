-- Promise: the parent that a child waits for exists as a record and is at least as urgent as the child;
--   a new one goes ahead of what is due already, since due work waits for it.
-- Locks: the parent, only when it is new or is raised.
-- Index: records_pkey.
insert into zohosync.records as p (org_id, kind, key, priority, due_at)
values (%(org_id)s, %(parent_kind)s, %(parent_key)s, %(priority)s,
        zohosync.current_time() - interval '1 hour')
on conflict (org_id, kind, key) do update
   set priority = excluded.priority,
       due_at = case when p.status = 'pending' then excluded.due_at else p.due_at end
 where p.due_at is not null and p.priority < excluded.priority
returning 1
