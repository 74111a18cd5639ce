-- Promise: how many records of each kind stand in each status, and how many of them are linked and have
--   a due time: exactly as a full count at this moment would say.
-- Locks: none.
-- Index: record_counts_pkey (and the changes that are not folded yet, all of them).
select c.kind, c.status, sum(c.records)::int as records,
       coalesce(sum(c.records) filter (where c.linked), 0)::int as linked,
       coalesce(sum(c.records) filter (where c.timed), 0)::int as timed
  from (select kind, status, linked, timed, records
          from zohosync.record_counts where org_id = %(org_id)s
        union all
        select kind, status, linked, timed, records
          from zohosync.count_deltas where org_id = %(org_id)s) c
 group by c.kind, c.status having sum(c.records) <> 0
