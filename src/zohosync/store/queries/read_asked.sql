-- Promise: of the named records that are known: what their rows asked for when they were last judged, and
--   how they stand.
-- Locks: none.
-- Index: records_pkey.
select r.key, r.asked, r.status, r.gone
  from unnest(%(keys)s::text[]) as named (key)
  join zohosync.records r on r.org_id = %(org_id)s and r.kind = %(kind)s and r.key = named.key
