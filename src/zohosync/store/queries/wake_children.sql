-- Promise: every record that waits for one of these to be as it is now becomes due, unless Zoho lost it or
--   may have (lost it stays until an attempt of its own says otherwise); a statement of its own
--   after the settling one, so that its snapshot sees whoever parked in between (no lost wake-up).
--   It is due since its mark, ahead of what was marked later: families are finished before new ones begin.
-- Locks: the woken records, after their parent.
-- Index: records_waiting.
update zohosync.records c
   set status = 'pending', due_at = least(c.marked_at, zohosync.current_time()), waiting_kind = null,
       waiting_key = null, waiting_needs = '{}', looks = 0
  from zohosync.records p
 where p.org_id = %(org_id)s and p.kind = %(kind)s and p.key = any (%(keys)s::text[])
   and p.zoho_id is not null
   and c.org_id = p.org_id and c.waiting_kind = p.kind and c.waiting_key = p.key
   and not p.to_check and p.error_class is distinct from 'not_found'
   and c.status = 'waiting'
   and (c.waiting_needs = '{}' or p.remote_state = any (c.waiting_needs))
