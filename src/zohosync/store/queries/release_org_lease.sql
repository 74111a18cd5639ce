-- Promise: the right to read a list is given up, by who has it.
-- Locks: the list's row, for this statement.
-- Index: org_data_cache_pkey.
update zohosync.org_data_cache
   set lease_until = null
 where org_id = %(org_id)s and cache_key = %(kind)s and lease_epoch = %(epoch)s
