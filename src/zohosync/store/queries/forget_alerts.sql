-- Promise: no alert and no notice names this key any more; they stand as they did, under its alias.
-- Locks: those rows.
-- Index: none (some hundreds of rows).
-- (A word of its own: `invoices 4` is no part of `invoices 42`.)
with named as materialized (
  select '\m' || %(kind)s || ' ' || regexp_replace(%(key)s, '([^[:alnum:]])', '\\\1', 'g') || '(?!\w)'
           as pattern, %(kind)s || ' ' || %(alias)s as instead
), alerts as (
  update zohosync.alerts a
     set example_key = case when a.example_kind = %(kind)s and a.example_key = %(key)s
                            then %(alias)s else a.example_key end,
         title = regexp_replace(a.title, n.pattern, n.instead, 'g'),
         body = regexp_replace(a.body, n.pattern, n.instead, 'g'),
         command = regexp_replace(a.command, n.pattern, n.instead, 'g'),
         over = regexp_replace(a.over, n.pattern, n.instead, 'g')
    from named n
   where a.org_id = %(org_id)s
     and ((a.example_kind = %(kind)s and a.example_key = %(key)s)
          or concat_ws(' ', a.title, a.body, a.command, a.over) ~ n.pattern)
)
update zohosync.notices t
   set title = regexp_replace(t.title, n.pattern, n.instead, 'g'),
       body = regexp_replace(t.body, n.pattern, n.instead, 'g')
  from named n
 where t.org_id = %(org_id)s and concat_ws(' ', t.title, t.body) ~ n.pattern
