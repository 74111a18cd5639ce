-- Promise: the installation is the one of this database and server from now on, links and all; the act
--   is in the audit. Nothing happens, and no row comes back, where it is so already.
-- Locks: the one row.
-- Index: none (one row).
with was as (
  select i.installation, i.database_name, i.system_identifier, current_database()::text as here_name,
         (select system_identifier::text from pg_control_system()) as here_identifier
    from zohosync.installation i for update
), moved as (
  update zohosync.installation i
     set database_name = was.here_name, system_identifier = was.here_identifier
    from was
   where (was.database_name, was.system_identifier) is distinct from (was.here_name, was.here_identifier)
  returning was.*
), noted as (
  insert into zohosync.audit (act, target, why, before, after)
  select 'moved', installation, 'migrate --moved',
         jsonb_build_object('database', database_name, 'server', system_identifier),
         jsonb_build_object('database', here_name, 'server', here_identifier)
    from moved
)
select installation, database_name, here_name from moved
