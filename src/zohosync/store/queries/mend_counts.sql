-- Promise: where the counts differ from a full count, whichever organisation's, the difference is
--   appended to them; one row for each that was wrong. Records, counts and their changes are seen in one
--   snapshot, and whoever changes records changes them in the same transaction: so nobody is to be kept
--   from working. After lock_counts, in a statement of its own.
-- Locks: none (append).
-- Index: none (a full count: by the hour, and when asked for).
with differs as (
  select org_id, kind, status, linked, timed, sum(counted)::bigint as counted,
         sum(kept)::bigint as kept
    from (select org_id, kind, status, zoho_id is not null as linked, due_at is not null as timed,
                 count(*) as counted, 0 as kept
            from zohosync.records group by 1, 2, 3, 4, 5
          union all
          select org_id, kind, status, linked, timed, 0, records from zohosync.record_counts
          union all
          select org_id, kind, status, linked, timed, 0, records from zohosync.count_deltas) each_way
   group by org_id, kind, status, linked, timed having sum(counted) <> sum(kept)
), mended as (
  insert into zohosync.count_deltas (org_id, kind, status, linked, timed, records)
  select org_id, kind, status, linked, timed, counted - kept from differs
)
select org_id, kind, status, sum(counted)::int as counted, sum(kept)::int as kept
  from differs group by org_id, kind, status order by org_id, kind, status
