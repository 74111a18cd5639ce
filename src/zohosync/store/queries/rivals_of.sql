-- Promise: of the named records those that are not linked and may be in Zoho already, with what they may be.
-- Locks: none.
-- Index: records_rivals.
select r.kind, r.key, r.rivals
  from unnest(%(kinds)s::text[], %(keys)s::text[]) as named (kind, key)
  join zohosync.records r on r.org_id = %(org_id)s and r.kind = named.kind and r.key = named.key
 where r.zoho_id is null and r.rivals <> '{}'
