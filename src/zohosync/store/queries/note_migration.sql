-- Promise: the migration is noted as applied, with the checksum that it had.
-- Locks: the new row.
-- Index: none (an insert).
insert into zohosync.migrations (version, name, checksum)
values (%(version)s, %(name)s, %(checksum)s)
