-- Promise: why records need a person or wait, the most frequent reasons first, each with a sample key.
--   Of a kind that has more than `look` in one status, as many are looked at, and `records` is told
--   from them (`about`).
-- Locks: none.
-- Index: record_counts_pkey, records_status.
with stands as materialized (
  select c.kind, c.status, sum(c.records)::bigint as records
    from (select kind, status, records from zohosync.record_counts
           where org_id = %(org_id)s and status in ('failed', 'uncertain', 'waiting')
          union all
          select kind, status, records from zohosync.count_deltas
           where org_id = %(org_id)s and status in ('failed', 'uncertain', 'waiting')) c
   group by c.kind, c.status having sum(c.records) > 0
), looked as (
  select s.kind, s.status, r.error_field, r.error_message, r.key,
         greatest(1, s.records / %(look)s::numeric) as each
    from stands s,
         lateral (select d.error_field, d.error_message, d.key from zohosync.records d
                   where d.org_id = %(org_id)s and d.status = s.status and d.kind = s.kind
                     and d.status not in ('synced', 'skipped')
                   limit %(look)s) r
)
select l.kind, l.status, l.error_field, coalesce(l.error_message, '') as reason,
       round(count(*) * l.each)::int as records, min(l.key) as sample_key, l.each > 1 as about
  from looked l
 group by l.kind, l.status, l.error_field, l.error_message, l.each
 order by l.status = 'waiting', count(*) * l.each desc, l.kind limit %(limit)s
