-- Promise: the database knows which installation it belongs to; the first caller names it.
-- Locks: the one row, when it is new.
-- Index: none (one row).
with new as (
  insert into zohosync.installation (installation, database_name, system_identifier)
  values (%(installation)s, current_database(),
          (select system_identifier::text from pg_control_system()))
  on conflict do nothing
  returning installation, database_name, system_identifier
)
select installation, database_name, system_identifier, current_database() as here_name,
       (select system_identifier::text from pg_control_system()) as here_identifier
  from (select * from new
        union all
        select installation, database_name, system_identifier from zohosync.installation) i limit 1
