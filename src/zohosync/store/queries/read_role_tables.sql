-- Promise: the tables and views outside our schema to which a role has a right of its own by now.
-- Locks: none.
-- Index: the catalogue's own.
select n.nspname as schema_name, c.relname as name
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where n.nspname <> 'zohosync'
   and exists (
         select from pg_catalog.pg_roles o,
                lateral (select c.relacl as acl
                         union all
                         select a.attacl from pg_catalog.pg_attribute a where a.attrelid = c.oid) l,
                lateral pg_catalog.aclexplode(l.acl) x
          where o.rolname = %(role)s and x.grantee = o.oid and c.relowner <> o.oid)
 order by 1, 2
