-- Promise: every applied migration, in order.
-- Locks: none.
-- Index: migrations_pkey; a handful of rows.
select version, name, checksum from zohosync.migrations order by version
