-- Promise: the parent as it is, and as it stays until this transaction ends.
-- Locks: the parent FOR SHARE: its own settling waits, and then wakes us.
-- Index: records_pkey.
select p.kind, p.key, p.zoho_id, p.remote_state, p.status, p.hints,
       coalesce(p.error_class = 'not_found', false) as missing,
       case when p.status = 'waiting' and p.error_code = 'unlisted' then p.error_message
       end as unlisted,
       coalesce(extract(epoch from zohosync.current_time() - p.settled_at), 0)::float8 as looked_s,
       p.looks
  from zohosync.records p
 where p.org_id = %(org_id)s and p.kind = %(parent_kind)s and p.key = %(parent_key)s
   for share
