-- Promise: who reads a list goes on to have the right to; no row when it was lost.
-- Locks: the list's row, for this statement.
-- Index: org_data_cache_pkey.
update zohosync.org_data_cache
   set lease_until = zohosync.current_time() + make_interval(secs => %(lease_s)s)
 where org_id = %(org_id)s and cache_key = %(kind)s and lease_epoch = %(epoch)s
returning lease_epoch
