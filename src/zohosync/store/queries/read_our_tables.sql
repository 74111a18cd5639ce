-- Promise: the tables and views of our schema, each with a column of its primary key (views: null),
--   and what the database is called.
-- Locks: none.
-- Index: the catalogue's own.
select current_database() as database_name, c.relname as name,
       (select a.attname from pg_catalog.pg_index i
          join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
         where i.indrelid = c.oid and i.indisprimary) as first_column
  from pg_catalog.pg_class c
 where c.relnamespace = to_regnamespace('zohosync') and c.relkind in ('r', 'p', 'v', 'm')
 order by c.relname
