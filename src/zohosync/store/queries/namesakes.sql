-- Promise: the records of a kind, but this one, that say the same of themselves and are linked; and
--   those without a link that say the same (or nobody knows what) and of which a write may be under
--   way: their lease or open intent says so. Whether their rows are still there, the source tells.
-- Locks: none.
-- Index: records_identity, records_intents, records_leased, forgotten_told, records_forgotten.
select r.key, r.zoho_id, r.payload, r.remote_state, r.hints,
       r.intent_id is not null or r.lease_until is not null as busy, r.gone,
       false as forgotten
  from zohosync.records r
 where r.org_id = %(org_id)s and r.kind = %(kind)s and r.key <> %(key)s and r.zoho_id is not null
   and md5(r.identity::text) = md5(%(identity)s::jsonb::text)
union all
select r.key, null, null, null, '{}', true, r.gone, false
  from zohosync.records r
 where r.org_id = %(org_id)s and r.kind = %(kind)s and r.key <> %(key)s and r.zoho_id is null
   and r.intent_id is not null and coalesce(r.identity = %(identity)s::jsonb, true)
union all
select r.key, null, null, null, '{}', true, r.gone, false
  from zohosync.records r
 where r.lease_until is not null and r.org_id = %(org_id)s and r.kind = %(kind)s
   and r.key <> %(key)s and r.zoho_id is null and r.intent_id is null
   and coalesce(r.identity = %(identity)s::jsonb, true)
union all
select '~' || left(f.key_hash, 16), f.zoho_id, null, f.remote_state, '{}', false, true, true
  from zohosync.forgotten f
 where f.org_id = %(org_id)s and f.kind = %(kind)s and f.zoho_id is not null
   and f.told_hash = (select zohosync.digest_of(%(org_id)s, %(kind)s, %(identity)s::jsonb::text))
union all
select r.key, r.zoho_id, null, r.remote_state, '{}', r.intent_id is not null, true, true
  from zohosync.records r
 where r.org_id = %(org_id)s and r.kind = %(kind)s and r.key <> %(key)s and r.zoho_id is not null
   and r.identity @> '{"forgotten": true}'
   and r.identity ->> 'told' = (select zohosync.digest_of(%(org_id)s, %(kind)s, %(identity)s::jsonb::text))
