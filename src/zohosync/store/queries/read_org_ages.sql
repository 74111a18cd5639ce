-- Promise: every list that is kept, as read_org_data says it, without its rows.
-- Locks: none.
-- Index: org_data_cache_pkey.
select c.cache_key as kind, extract(epoch from zohosync.current_time() - c.cached_at)::float8 as age_s,
       c.mappings is not distinct from o.mappings as current
  from zohosync.org_data_cache c
  join zohosync.organizations o using (org_id)
 where c.org_id = %(org_id)s and c.data is not null
 order by c.cache_key
