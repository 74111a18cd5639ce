-- Promise: the kinds of which something is held that need not be: for what is another record's of the kind
--   by now, or for the sake of a parent that may be something else itself (`reasons`), which none of the
--   kinds before it may be any more. `kinds` have parents before children.
-- Locks: none.
-- Index: records_rivals, records_one_per_zoho_id, comparisons_newest, compared_key.
with held as materialized (
  select r.kind, r.key, k.place, rival.id
    from unnest(%(kinds)s::text[]) with ordinality as k (kind, place)
    join zohosync.records r on r.org_id = %(org_id)s and r.kind = k.kind
   cross join lateral unnest(r.rivals) as rival (id)
   where r.zoho_id is null and r.rivals <> '{}'
), orphans as (
  select h.kind, h.key
    from held h
    left join held p on p.id = h.id and p.place < h.place
   group by h.kind, h.key having count(p.id) = 0
)
select k.kind
  from unnest(%(kinds)s::text[]) with ordinality as k (kind, place)
 where exists (
         select from held h
           join zohosync.records o
             on o.org_id = %(org_id)s and o.kind = h.kind and o.zoho_id = h.id
          where h.kind = k.kind)
    or exists (
         select from orphans h
           join zohosync.compared c
             on c.org_id = %(org_id)s and c.kind = h.kind and c.key = h.key
            and c.reason = any (%(reasons)s::text[])
          where h.kind = k.kind and c.comparison_id = (
            select n.comparison_id from zohosync.comparisons n
             where n.org_id = %(org_id)s and n.kind = k.kind and n.finished_at is not null
             order by n.comparison_id desc limit 1))
 order by k.place
