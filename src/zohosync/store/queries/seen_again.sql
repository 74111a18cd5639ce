-- Promise: those of these Zoho ids that this pass of a reading has brought already.
-- Locks: none.
-- Index: seen_pkey.
select s.zoho_id
  from unnest(%(zoho_ids)s::text[]) with ordinality as named (zoho_id, place)
  join zohosync.seen s on s.org_id = %(org_id)s and s.kind = %(kind)s and s.zoho_id = named.zoho_id
 where s.comparison_id = %(comparison_id)s and s.pass = %(pass)s and s.page < %(page)s
 order by named.place
