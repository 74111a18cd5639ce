-- Promise: the parent that a child names exists as a record, is at least as urgent as the child, and is
--   looked for in Zoho where no row has its key: at once where nobody looked yet, else seek_s after the
--   last look. One that is known, under way, or has a back-off keeps its time.
-- Locks: the parent, only when it is new or something of it changes.
-- Index: records_pkey.
insert into zohosync.records as p (org_id, kind, key, priority, due_at, hints)
values (%(org_id)s, %(parent_kind)s, %(parent_key)s, %(priority)s,
        zohosync.current_time() - interval '1 hour', '{"sought": true}')
on conflict (org_id, kind, key) do update
   set hints = p.hints || excluded.hints,
       priority = greatest(p.priority, excluded.priority),
       status = case
         when p.status = 'skipped' and p.gone then 'pending'
         when p.status = 'waiting' and p.error_code = 'unlisted'
          and p.settled_at + make_interval(secs => %(seek_s)s) <= zohosync.current_time()
           then 'pending'
         else p.status end,
       due_at = case
         when p.status = 'skipped' and p.gone then excluded.due_at
         when p.status = 'waiting' and p.error_code = 'unlisted'
           then least(p.due_at, p.settled_at + make_interval(secs => %(seek_s)s))
         when p.status = 'pending' and p.due_at is not null and p.priority < excluded.priority
           then excluded.due_at
         else p.due_at end
 where p.zoho_id is null
   and (not p.hints ? 'sought'
        or (p.status = 'skipped' and p.gone)
        or (p.status = 'waiting' and p.error_code = 'unlisted')
        or (p.due_at is not null and p.priority < excluded.priority))
returning 1
