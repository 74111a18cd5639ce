-- Promise: how each of these records stands, in the order given; those that are not known stand empty.
-- Locks: none.
-- Index: records_pkey.
select m.kind, m.key, r.status, r.zoho_id, r.error_field, r.error_message, r.waiting_kind, r.waiting_key,
       m.kind = any (o.paused_kinds) as paused
  from unnest(%(kinds)s::text[], %(keys)s::text[]) with ordinality as m (kind, key, place)
  left join zohosync.organizations o on o.org_id = %(org_id)s
  left join zohosync.records r on r.org_id = %(org_id)s and r.kind = m.kind and r.key = m.key
 order by m.place
