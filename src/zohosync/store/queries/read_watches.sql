-- Promise: the triggers of ours that are in place; without a definition where one of the four is gone,
--   switched off, or on another table than the one that has this name now.
-- Locks: none.
-- Index: none (a handful of rows).
select w.watch, w.table_name, w.kind,
       case when (select count(*) from pg_catalog.pg_trigger t
                   where t.tgrelid = to_regclass(w.table_name) and t.tgenabled in ('O', 'A')
                     and t.tgname ~ ('^zohosync_' || w.watch || '_[iudt]$')) = 4
            then w.definition end as definition
  from zohosync.watches w
