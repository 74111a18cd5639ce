-- Promise: one process at a time has the right to read a list, for lease_s by the database's clock; the
--   epoch fences it. No row: another one has it.
-- Locks: the list's row, for this statement.
-- Index: org_data_cache_pkey.
insert into zohosync.org_data_cache as c (org_id, cache_key, lease_until, lease_epoch, leased_at)
values (%(org_id)s, %(kind)s, zohosync.current_time() + make_interval(secs => %(lease_s)s), 1,
        zohosync.current_time())
on conflict (org_id, cache_key) do update
   set lease_until = excluded.lease_until, lease_epoch = c.lease_epoch + 1,
       leased_at = excluded.leased_at
 where c.lease_until is null or c.lease_until <= zohosync.current_time()
returning lease_epoch
