-- Promise: which installation this database belongs to, as it was set up and as it is here and now.
-- Locks: none.
-- Index: none (one row).
select installation, database_name, system_identifier, current_database() as here_name,
       (select system_identifier::text from pg_control_system()) as here_identifier
  from zohosync.installation
