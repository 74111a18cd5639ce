-- Promise: what is known of each named parent; of one that was forgotten, its link.
-- Locks: none.
-- Index: records_pkey, forgotten_pkey.
select p.kind, p.key, p.zoho_id, p.remote_state, p.status, p.hints,
       coalesce(p.error_class = 'not_found', false) as missing,
       case when p.status = 'waiting' and p.error_code = 'unlisted' then p.error_message
       end as unlisted,
       coalesce(extract(epoch from zohosync.current_time() - p.settled_at), 0)::float8 as looked_s,
       p.looks
  from unnest(%(kinds)s::text[], %(keys)s::text[]) as named (kind, key)
  join zohosync.records p on p.org_id = %(org_id)s and p.kind = named.kind and p.key = named.key
union all
select f.kind, named.key, f.zoho_id, f.remote_state, 'skipped', f.hints, false, null, 0, 0
  from unnest(%(kinds)s::text[], %(keys)s::text[]) as named (kind, key)
  join zohosync.forgotten f on f.org_id = %(org_id)s and f.kind = named.kind
   and f.key_hash = zohosync.digest_of(%(org_id)s, named.kind, named.key)
 where (select exists (select from zohosync.forgotten a where a.org_id = %(org_id)s))  -- asked once
