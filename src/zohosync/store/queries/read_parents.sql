-- Promise: what is known of each named parent.
-- Locks: none.
-- Index: records_pkey.
select p.kind, p.key, p.zoho_id, p.remote_state, p.status, p.hints,
       coalesce(p.error_class = 'not_found', false) as missing
  from unnest(%(kinds)s::text[], %(keys)s::text[]) as named (kind, key)
  join zohosync.records p on p.org_id = %(org_id)s and p.kind = named.kind and p.key = named.key
