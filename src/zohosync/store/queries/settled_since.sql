-- Promise: the kinds of which something is held that need not be: for what is another record's of the kind
--   by now, or for the sake of a parent that may be something else itself (`reasons`), which none of the
--   kinds before it may be any more. `kinds` have parents before children.
-- Locks: none.
-- Index: records_rivals, records_one_per_zoho_id, comparisons_newest (and the newest verdicts).
-- (A window and INTERSECT, no joins: before the tables are analysed Postgres takes what is held for a
--   handful, and would hold each against each.)
with held as materialized (
  select r.kind, r.key, k.place, rival.id, min(k.place) over (partition by rival.id) as first
    from unnest(%(kinds)s::text[]) with ordinality as k (kind, place)
    join zohosync.records r on r.org_id = %(org_id)s and r.kind = k.kind
   cross join lateral unnest(r.rivals) as rival (id)
   where r.zoho_id is null and r.rivals <> '{}'
), orphans as materialized (
  select kind, key from held group by kind, key having bool_and(place = first)
  intersect
  select c.kind, c.key
    from unnest(%(kinds)s::text[]) as k (kind)
   cross join lateral (
     select n.comparison_id from zohosync.comparisons n
      where n.org_id = %(org_id)s and n.kind = k.kind and n.finished_at is not null
      order by n.comparison_id desc limit 1) newest
    join zohosync.compared c
      on c.org_id = %(org_id)s and c.kind = k.kind and c.comparison_id = newest.comparison_id
   where c.reason = any (%(reasons)s::text[])
)
select k.kind
  from unnest(%(kinds)s::text[]) with ordinality as k (kind, place)
 where k.kind in (select kind from orphans)
    or exists (
         select from held h
           join zohosync.records o
             on o.org_id = %(org_id)s and o.kind = h.kind and o.zoho_id = h.id
          where h.kind = k.kind)
 order by k.place
