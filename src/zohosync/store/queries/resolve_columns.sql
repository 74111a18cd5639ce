-- Promise: how the database spells a table that the user named, and its columns with their types;
--   `exact` with its length or precision, `open` without. No row: no such table.
-- Locks: none.
-- Index: the catalogue's own.
select n.nspname as schema_name, c.relname as table_name, a.attname as column_name,
       format_type(a.atttypid, a.atttypmod) as exact, format_type(a.atttypid, -1) as open
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
 where c.oid = to_regclass(%(table_name)s)
