-- Promise: what each named table is: the table that a watch on it would stand on (a partition's root),
--   whether it can be watched, and about how many rows it has.
-- Locks: none.
-- Index: the catalogue's own.
select named.schema_name, named.table_name, c.relkind::text as relkind,
       coalesce(pg_partition_root(c.oid)::oid, c.oid)::int8 as root,
       coalesce(pg_partition_root(c.oid), c.oid::regclass)::text as shown,
       greatest(c.reltuples, s.n_live_tup, 0)::float8 as table_rows
  from unnest(%(schemas)s::text[], %(tables)s::text[]) as named (schema_name, table_name)
  join pg_catalog.pg_namespace n on n.nspname = named.schema_name
  join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = named.table_name
  left join pg_catalog.pg_stat_user_tables s on s.relid = c.oid
 where named.schema_name not in ('pg_catalog', 'information_schema', 'zohosync')
