-- Promise: the kinds of which something is held since their newest comparison for what is linked by now.
-- Locks: none.
-- Index: records_rivals, records_one_per_zoho_id, comparisons_newest.
select kind
  from unnest(%(kinds)s::text[]) as kind
 where exists (
   select from zohosync.records r
     join zohosync.records o
       on o.org_id = r.org_id and o.kind = any (%(kinds)s::text[]) and o.zoho_id = any (r.rivals)
    where r.org_id = %(org_id)s and r.kind = kind.kind and r.zoho_id is null and r.rivals <> '{}'
      and o.settled_at > (
        select c.finished_at from zohosync.comparisons c
         where c.org_id = r.org_id and c.kind = r.kind and c.finished_at is not null
         order by c.comparison_id desc limit 1))
