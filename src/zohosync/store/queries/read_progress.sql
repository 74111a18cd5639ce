-- Promise: what is still on its way, by kind and status, and the marks that nobody has folded yet.
-- Locks: none.
-- Index: record_counts_pkey (and the changes that are not folded yet, all of them).
select c.kind, c.status, sum(c.records)::int as records
  from (select kind, status, records from zohosync.record_counts
         where org_id = %(org_id)s and status not in ('synced', 'skipped')
        union all
        select kind, status, records from zohosync.count_deltas
         where org_id = %(org_id)s and status not in ('synced', 'skipped')) c
 group by c.kind, c.status having sum(c.records) <> 0
union all
select m.kind, 'marked', count(*)::int
  from (select kind from zohosync.marks limit 200000) m group by m.kind
