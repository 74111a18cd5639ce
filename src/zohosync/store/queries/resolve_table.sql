-- Promise: how the database spells a table that the user named, and whether it has the column.
-- Locks: none.
-- Index: the catalogue's own.
select n.nspname as schema_name, c.relname as table_name, c.relkind::text as relkind,
       exists (select from pg_catalog.pg_attribute a
                where a.attrelid = c.oid and a.attname = %(column)s and a.attnum > 0
                  and not a.attisdropped) as has_column
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where c.oid = to_regclass(%(table_name)s)
