-- Promise: what is still on its way, by kind and status, and the marks that nobody has folded yet.
-- Locks: none.
-- Index: records_status (what is in step is not looked at).
select r.kind, r.status, count(*)::int as records
  from zohosync.records r
 where r.org_id = %(org_id)s and r.status not in ('synced', 'skipped')
 group by r.kind, r.status
union all
select m.kind, 'marked', count(*)::int
  from (select kind from zohosync.marks limit 200000) m group by m.kind
