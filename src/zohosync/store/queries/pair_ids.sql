-- Promise: the Zoho ids of the named records: linked ones, else those that the newest finished
--   comparison of their kind is sure of.
-- Locks: none.
-- Index: records_pkey, comparisons_newest, compared_key.
select named.kind, named.key, coalesce(r.zoho_id, c.zoho_id) as zoho_id
  from unnest(%(kinds)s::text[], %(keys)s::text[]) as named (kind, key)
  left join zohosync.records r
    on r.org_id = %(org_id)s and r.kind = named.kind and r.key = named.key
  left join lateral (
    select p.zoho_id from zohosync.compared p
     where p.org_id = %(org_id)s and p.kind = named.kind and p.key = named.key and p.sure
       and p.comparison_id = (
         select n.comparison_id from zohosync.comparisons n
          where n.org_id = %(org_id)s and n.kind = named.kind and n.finished_at is not null
          order by n.comparison_id desc limit 1)) c on r.zoho_id is null
 where coalesce(r.zoho_id, c.zoho_id) is not null
