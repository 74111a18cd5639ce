-- Promise: whether this database has been migrated at all.
-- Locks: none.
-- Index: none; one look into the catalogue.
select to_regclass('zohosync.migrations') is not null as present
