-- Promise: what we wrote into Zoho stands in the kept list at once; a reading of the list that may have
--   begun before is not kept.
-- Locks: the list's row, for this statement.
-- Index: org_data_cache_pkey.
update zohosync.org_data_cache
   set data = case when data is null then null
                   else data || jsonb_build_object(%(zoho_id)s::text,
                          coalesce(data -> %(zoho_id)s::text, '{}') || %(data)s::jsonb) end,
       lease_epoch = lease_epoch + 1, lease_until = null
 where org_id = %(org_id)s and cache_key = %(kind)s
