-- Promise: what is kept of a list, how long ago its reading began (null: never), whether the mappings
--   are still those of then.
-- Locks: none.
-- Index: org_data_cache_pkey.
select c.data, extract(epoch from zohosync.current_time() - c.cached_at)::float8 as age_s,
       c.mappings is not distinct from o.mappings as current
  from zohosync.org_data_cache c
  join zohosync.organizations o using (org_id)
 where c.org_id = %(org_id)s and c.cache_key = %(kind)s
