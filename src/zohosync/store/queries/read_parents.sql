-- Promise: what is known of each named parent.
-- Locks: none.
-- Index: records_pkey.
select p.kind, p.key, p.zoho_id, p.remote_state, p.status, p.hints,
       coalesce(p.error_class = 'not_found', false) as missing,
       case when p.status = 'waiting' and p.error_code = 'unlisted' then p.error_message
       end as unlisted,
       coalesce(extract(epoch from zohosync.current_time() - p.settled_at), 0)::float8 as looked_s,
       p.looks
  from unnest(%(kinds)s::text[], %(keys)s::text[]) as named (kind, key)
  join zohosync.records p on p.org_id = %(org_id)s and p.kind = named.kind and p.key = named.key
