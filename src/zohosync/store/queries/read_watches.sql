-- Promise: the triggers of ours that are in place.
-- Locks: none.
-- Index: none (a handful of rows).
select w.watch, w.table_name, w.kind,
       case when exists (select from pg_catalog.pg_trigger t
                          where t.tgname = 'zohosync_' || w.watch || '_i' and t.tgenabled <> 'D')
            then w.definition end as definition
  from zohosync.watches w
