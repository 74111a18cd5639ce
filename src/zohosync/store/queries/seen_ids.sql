-- Promise: what a reading saw in Zoho of these ids.
-- Locks: none.
-- Index: seen_pkey.
select s.zoho_id, s.fields
  from unnest(%(zoho_ids)s::text[]) as named (zoho_id)
  join zohosync.seen s on s.org_id = %(org_id)s and s.kind = %(kind)s and s.zoho_id = named.zoho_id
   and s.comparison_id = %(comparison_id)s
