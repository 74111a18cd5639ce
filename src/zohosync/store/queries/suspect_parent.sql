-- Promise: a parent that Zoho may have lost is looked up next, at least as urgently as the child that
--   missed it; one with a back-off, a lease or an open intent keeps its time.
-- Locks: the parent.
-- Index: records_pkey.
update zohosync.records p
   set to_check = true, priority = greatest(p.priority, %(priority)s),
       status = case when p.status in ('synced', 'failed', 'skipped') then 'pending'
                     else p.status end,
       due_at = case when p.status in ('syncing', 'retrying', 'uncertain') then p.due_at
                     else zohosync.current_time() end
 where p.org_id = %(org_id)s and p.kind = %(parent_kind)s and p.key = %(parent_key)s
   and p.zoho_id is not null
