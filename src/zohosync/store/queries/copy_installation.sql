-- Promise: this database is a copy, and an installation of its own from now on: another name (so other
--   markers), no links, intents, marks, calls, tokens or alerts of the original, and every organisation is
--   inactive, paused as a whole and in each kind; the act is in the audit. Attempts stay as history.
--   Nothing happens, and no row comes back, where database and server are those of the installation.
-- Locks: the one row, the organisations' rows, all records, marks, calls and tokens.
-- Index: none (once in a copy's life, and all of it).
with was as (
  select i.installation, i.database_name, i.system_identifier, current_database()::text as here_name,
         (select system_identifier::text from pg_control_system()) as here_identifier
    from zohosync.installation i for update
), copied as (
  update zohosync.installation i
     set installation = %(installation)s, database_name = was.here_name,
         system_identifier = was.here_identifier
    from was
   where (was.database_name, was.system_identifier) is distinct from (was.here_name, was.here_identifier)
  returning was.*
), records as (
  delete from zohosync.records where exists (select from copied) returning zoho_id, intent_id
), marks as (
  delete from zohosync.marks where exists (select from copied)
), calls as (
  delete from zohosync.api_calls where exists (select from copied)
), tokens as (
  delete from zohosync.token_cache where exists (select from copied)
), forgotten as (
  delete from zohosync.forgotten where exists (select from copied)
), workers as (
  delete from zohosync.workers where exists (select from copied)
), notices as (
  delete from zohosync.notices where exists (select from copied)
), alerts as (
  delete from zohosync.alerts where exists (select from copied)
), organizations as (
  update zohosync.organizations
     set active = false, paused = %(reason)s, paused_kinds = kinds
   where exists (select from copied)
), told as (
  select copied.*, (select count(*) from records where zoho_id is not null)::int as links,
         (select count(*) from records where intent_id is not null)::int as intents
    from copied
), noted as (
  insert into zohosync.audit (act, target, why, before, after)
  select 'copied', %(installation)s, 'migrate --copied',
         jsonb_build_object('installation', installation, 'database', database_name,
                            'server', system_identifier, 'links', links, 'intents', intents),
         jsonb_build_object('installation', %(installation)s::text, 'database', here_name,
                            'server', here_identifier)
    from told
)
select installation, database_name, here_name, links, intents from told
