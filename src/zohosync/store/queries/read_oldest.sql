-- Promise: of each of these kinds the record that is due first and that nobody holds, and for how many
--   seconds it has been due (negative: it is not, yet).
-- Locks: none.
-- Index: records_oldest, once per kind.
select k.kind, r.key, r.due_at,
       extract(epoch from zohosync.current_time() - r.due_at)::float8 as overdue_s
  from unnest(%(kinds)s::text[]) with ordinality as k (kind, place),
       lateral (select d.key, d.due_at from zohosync.records d
                 where d.org_id = %(org_id)s and d.kind = k.kind and d.due_at is not null
                   and d.lease_until is null
                 order by d.due_at limit 1) r
 order by k.place
