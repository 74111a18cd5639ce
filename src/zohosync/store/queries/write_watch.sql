-- Promise: what is watched is on record, with the definition that is in place.
-- Locks: the watch's row.
-- Index: watches_pkey.
insert into zohosync.watches as w (watch, table_name, kind, definition)
values (%(watch)s, %(table_name)s, %(kind)s, %(definition)s)
on conflict (watch) do update set definition = excluded.definition
