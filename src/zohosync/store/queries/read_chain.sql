-- Promise: the record, then the parent it waits for, the one that this waits for, and so on: the last
--   one is the root cause.
-- Locks: none.
-- Index: records_pkey.
with recursive chain as (
  select r.kind, r.key, r.status, r.zoho_id, r.remote_state, r.error_message, r.error_field,
         r.waiting_kind, r.waiting_key, r.waiting_needs, 0 as depth
    from zohosync.records r
   where r.org_id = %(org_id)s and r.kind = %(kind)s and r.key = %(key)s
  union all
  select p.kind, p.key, p.status, p.zoho_id, p.remote_state, p.error_message, p.error_field,
         p.waiting_kind, p.waiting_key, p.waiting_needs, c.depth + 1
    from chain c
    join zohosync.records p
      on p.org_id = %(org_id)s and p.kind = c.waiting_kind and p.key = c.waiting_key
   where c.depth < 12
)
select * from chain order by depth
