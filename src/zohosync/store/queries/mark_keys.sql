-- Promise: a mark for each of these keys, in their order, where the organisation is the active one.
-- Locks: none (append).
-- Index: none (organizations has a handful of rows).
insert into zohosync.marks (kind, key, op, priority)
select %(kind)s, k.key, 'B', %(priority)s
  from zohosync.organizations o, unnest(%(keys)s::text[]) with ordinality as k (key, place)
 where o.org_id = %(org_id)s and o.active
 order by k.place
