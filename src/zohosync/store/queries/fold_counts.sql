-- Promise: up to `limit` changes of the counts, whichever organisation's, are summed into them, each
--   exactly once; how many there were. What is read of both together stays the same.
-- Locks: the changes taken (SKIP LOCKED), then the counts that they change, in the order of their key.
-- Index: count_deltas_pkey, record_counts_pkey.
with taken as (
  delete from zohosync.count_deltas
   where delta_id = any (array(
     select delta_id from zohosync.count_deltas order by delta_id limit %(limit)s
        for update skip locked))
  returning org_id, kind, status, linked, timed, records
), folded as (
  insert into zohosync.record_counts as c (org_id, kind, status, linked, timed, records)
  select org_id, kind, status, linked, timed, sum(records) from taken
   group by org_id, kind, status, linked, timed having sum(records) <> 0
   order by org_id, kind, status, linked, timed
  on conflict (org_id, kind, status, linked, timed) do update
     set records = c.records + excluded.records
  returning 1
)
select (select count(*) from taken)::int as taken, (select count(*) from folded)::int as folded
