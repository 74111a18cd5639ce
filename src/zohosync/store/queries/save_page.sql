-- Promise: a page of a list is kept, and the reading stands at it; returns the ids that this pass had
--   brought before. A row that comes again keeps the page where it was seen first.
-- Locks: the reading, the rows of the page.
-- Index: seen_pkey, comparisons_pkey.
with noted as (
  update zohosync.comparisons
     set page = %(page)s, calls = calls + 1, torn = torn or %(torn)s,
         busy_until = zohosync.current_time() + make_interval(secs => %(busy_s)s)
   where comparison_id = %(comparison_id)s and busy_by = %(who)s
  returning comparison_id
)
insert into zohosync.seen as s (org_id, kind, zoho_id, comparison_id, pass, page, place, fields)
select %(org_id)s, %(kind)s, r.zoho_id, n.comparison_id, %(pass)s, %(page)s, r.place, r.fields
  from noted n,
       rows from (jsonb_to_recordset(%(rows)s::jsonb) as (zoho_id text, place integer, fields jsonb))
         as r
on conflict (org_id, kind, comparison_id, zoho_id) do update
   set pass = excluded.pass, page = excluded.page, place = excluded.place, fields = excluded.fields
