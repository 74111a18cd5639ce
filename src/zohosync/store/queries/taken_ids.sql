-- Promise: which of these Zoho ids are linked already, and to whom; those of forgotten records, too.
-- Locks: none.
-- Index: records_one_per_zoho_id.
select r.zoho_id, r.key from zohosync.records r
 where r.org_id = %(org_id)s and r.kind = %(kind)s and r.zoho_id = any (%(zoho_ids)s::text[])
union all
select f.zoho_id, '~' || left(f.key_hash, 16) from zohosync.forgotten f
 where f.org_id = %(org_id)s and f.kind = %(kind)s and f.zoho_id = any (%(zoho_ids)s::text[])
   and not exists (select from zohosync.records r
                    where r.org_id = f.org_id and r.kind = f.kind and r.zoho_id = f.zoho_id)
