-- Promise: what a view of ours for the moment reads by name: tables and views, and functions that
--   are not Postgres's own (those with their arguments, the others with null).
-- Locks: none.
-- Index: the catalogue's own.
select distinct n.nspname as schema_name, c.relname as name, null::text as arguments
  from pg_catalog.pg_rewrite r
  join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::regclass and d.objid = r.oid
   and d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid <> r.ev_class
  join pg_catalog.pg_class c on c.oid = d.refobjid
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where r.ev_class = to_regclass(%(view)s)
   and n.nspname not in ('pg_catalog', 'information_schema', 'zohosync')
union
select distinct n.nspname, p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid)
  from pg_catalog.pg_rewrite r
  join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::regclass and d.objid = r.oid
   and d.refclassid = 'pg_catalog.pg_proc'::regclass
  join pg_catalog.pg_proc p on p.oid = d.refobjid
  join pg_catalog.pg_namespace n on n.oid = p.pronamespace
 where r.ev_class = to_regclass(%(view)s) and n.nspname not in ('pg_catalog', 'zohosync')
 order by 1, 2, 3
