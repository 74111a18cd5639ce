-- Promise: the table that each name of a [[watch]] means; 0 where there is none.
-- Locks: none.
-- Index: the catalogue's own.
select named.table_name,
       coalesce(pg_partition_root(to_regclass(named.table_name))::oid,
                to_regclass(named.table_name)::oid, 0)::int8 as root
  from unnest(%(tables)s::text[]) as named (table_name)
