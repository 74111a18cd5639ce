-- Promise: what our functions do that run with the rights of whoever calls them.
-- Locks: none.
-- Index: the catalogue's own.
select p.prosrc as body
  from pg_catalog.pg_proc p
 where p.pronamespace = to_regnamespace('zohosync') and not p.prosecdef
