-- Promise: each mark is folded into its record exactly once; never by a high-water id, since commits
--   land out of order. A mark raises version and priority (what rests in step takes the mark's priority,
--   what is due for a child's sake keeps the child's); a record at rest becomes due, one with a
--   back-off, a lease or an open intent keeps its time; one that is left to a person is looked at
--   again. A TRUNCATE touches every record of its kind. Marks are the active organisation's: a worker
--   of another one takes none.
--   What no record can have (a strange kind, a key empty or over 200 characters) is dropped, or it would
--   hold up the rest.
--   Marks of one fold become due in the order they were made, so parents that were marked first go first.
-- Locks: the marks taken (SKIP LOCKED) and the records they name, ordered by kind and key.
-- Index: marks_pkey, records_pkey.
with taken as (
  delete from zohosync.marks
   where mark_id = any (array(
     select mark_id from zohosync.marks
      where (select active from zohosync.organizations where org_id = %(org_id)s)
      order by mark_id limit %(limit)s
        for update skip locked))
  returning mark_id, kind, key, op, priority
), base as materialized (
  select zohosync.current_time() as now
), named as (
  select kind, key, count(*) as marks, min(mark_id) as first_mark,
         max(case when priority >= 10 then 10 when priority >= 5 then 5 when priority >= 1 then 1
                  else 0 end)::smallint as priority
    from taken
   where op <> 'T' and kind = any (%(kinds)s::text[]) and length(key) between 1 and 200
   group by kind, key
  union all
  select r.kind, r.key, 1, min(t.mark_id), 5::smallint
    from taken t join zohosync.records r on r.org_id = %(org_id)s and r.kind = t.kind
   where t.op = 'T'
     and not exists (select from taken n where n.kind = r.kind and n.key = r.key and n.op <> 'T')
   group by r.kind, r.key
), folded as (
  insert into zohosync.records as r (org_id, kind, key, version, priority, due_at, marked_at)
  select %(org_id)s, kind, key, marks, priority,
         base.now + (first_mark - min(first_mark) over ()) * interval '1 microsecond', base.now
    from named, base order by kind, key
  on conflict (org_id, kind, key) do update
     set version = r.version + excluded.version,
         priority = case when r.version = r.synced_version and r.due_at is null
                         then excluded.priority
                         else greatest(r.priority, excluded.priority) end,
         marked_at = case when r.version = r.synced_version then excluded.marked_at
                          else r.marked_at end,
         status = case when r.status in ('synced', 'failed', 'skipped') then 'pending'
                       else r.status end,
         due_at = case
           when r.status in ('syncing', 'retrying', 'uncertain')
             then coalesce(r.due_at, excluded.due_at)
           when r.status = 'synced' and excluded.priority = 5  -- live ones and backfills do not wait
             and r.success_at + %(debounce)s > excluded.due_at
             then r.success_at + %(debounce)s
           when r.status = 'pending' and r.due_at is not null and excluded.priority < 10
             then r.due_at
           else excluded.due_at end
  returning 1
)
select (select count(*) from taken) as marks, (select count(*) from folded) as records
