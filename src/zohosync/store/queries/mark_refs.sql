-- Promise: these records are marked, in the order given.
-- Locks: none (append).
-- Index: none (insert).
insert into zohosync.marks (kind, key, op, priority)
select m.kind, m.key, 'B', %(priority)s
  from unnest(%(kinds)s::text[], %(keys)s::text[]) with ordinality as m (kind, key, place) order by m.place
