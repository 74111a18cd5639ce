-- Promise: the row that may take the link of one that is gone exists as a record, and is looked at once more
--   where it rests without a link (what it was refused for may be what is gone by now); it is at least as
--   urgent as what waits for it.
-- Locks: the record, only when it is new or something of it changes.
-- Index: records_pkey.
insert into zohosync.records as p (org_id, kind, key, priority, due_at)
values (%(org_id)s, %(parent_kind)s, %(parent_key)s, %(priority)s, zohosync.current_time())
on conflict (org_id, kind, key) do update
   set status = 'pending', priority = greatest(p.priority, excluded.priority),
       due_at = excluded.due_at
 where p.zoho_id is null and p.lease_until is null and p.intent_id is null
   and (p.status in ('skipped', 'failed')
        or (p.status = 'pending' and p.priority < excluded.priority))
returning 1
