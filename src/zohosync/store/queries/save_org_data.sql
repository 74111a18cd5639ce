-- Promise: a list as it was read is kept, as of when its reading began, and the right to read it ends; no
--   row when it was taken over or changed meanwhile: then it is not kept.
-- Locks: the list's row, for this statement.
-- Index: org_data_cache_pkey, organizations_pkey.
update zohosync.org_data_cache c
   set data = %(data)s::jsonb, cached_at = c.leased_at, mappings = o.mappings, lease_until = null
  from zohosync.organizations o
 where c.org_id = %(org_id)s and c.cache_key = %(kind)s and c.lease_epoch = %(epoch)s
   and o.org_id = c.org_id
returning c.lease_epoch
