-- Promise: who waits for one of these that turned out to be neither here nor in Zoho is due: to be refused,
--   or to ask for the look, where no row has its key and nobody looked yet; or to be ended, where it waited
--   for its own row under another key, and that is none. Who was refused for its sake
--   is due once it is known after all, or fails for another reason. A statement of its own after the
--   settling one, as wake_children.
-- Locks: the woken records, after their parent.
-- Index: records_pkey, records_waiting.
update zohosync.records c
   set status = 'pending', due_at = least(c.marked_at, zohosync.current_time()),
       waiting_kind = null, waiting_key = null, waiting_needs = '{}'
  from zohosync.records p
 where p.org_id = %(org_id)s and p.kind = %(kind)s and p.key = any (%(keys)s::text[])
   and c.org_id = p.org_id and c.waiting_kind = p.kind and c.waiting_key = p.key
   and ((c.status = 'waiting' and p.zoho_id is null
         and (p.error_code = 'unlisted'
              or (p.status = 'skipped' and (p.gone or c.kind = p.kind))))
     or (c.status = 'failed' and c.error_code = 'unknown parent'
         and (p.zoho_id is not null
              or (p.status in ('failed', 'skipped') and p.error_code is distinct from 'unlisted'))))
