-- Promise: the records that will not move by themselves, by what is wrong with them: failed by kind, class,
--   code and field; waiting for a person's word by kind; waiting for a parent that will not come, by kind,
--   parent's kind and its status. `blocked` are the records that wait, however far down, for one that
--   failed: they are the same trouble. `since` is when the first of them was judged so.
-- Locks: none.
-- Index: records_status, records_rivals, records_pkey.
-- (From those whose parent will not come down to all who wait for them: of the others, however many wait
--   in a first load, each is looked at once.)
with recursive stuck as materialized (
  select r.kind, r.key, r.status, r.error_class, r.error_code, r.error_field, r.error_message,
         r.settled_at, r.due_at
    from zohosync.records r
   where r.org_id = %(org_id)s and r.status in ('failed', 'uncertain')
), rooted as (
  select w.kind, w.key, w.settled_at, w.waiting_kind, w.waiting_key, p.status, p.error_class,
         p.error_code, p.error_field, 1 as depth
    from zohosync.records w
    left join zohosync.records p on p.org_id = %(org_id)s and p.kind = w.waiting_kind
                                and p.key = w.waiting_key
   where w.org_id = %(org_id)s and w.status = 'waiting' and w.waiting_kind is not null
     and (p.status is null or p.status in ('failed', 'skipped'))
  union all
  select w.kind, w.key, w.settled_at, r.waiting_kind, r.waiting_key, r.status, r.error_class,
         r.error_code, r.error_field, r.depth + 1
    from rooted r
    join zohosync.records w on w.org_id = %(org_id)s and w.waiting_kind = r.kind
                           and w.waiting_key = r.key and w.status = 'waiting'
   where r.depth < 8
), blocked as (
  select waiting_kind as kind, error_class, error_code, error_field, count(*)::int as records
    from rooted where status = 'failed' group by 1, 2, 3, 4
), failed as (
  select kind, error_class, error_code, error_field, count(*)::int as records,
         min(settled_at) as since, min(key) as sample_key, min(error_message) as reason
    from stuck where status = 'failed' group by 1, 2, 3, 4
)
select 'failed' as topic, f.kind, f.error_class, f.error_code, f.error_field, null as parent_kind,
       null as parent_status, f.records, coalesce(b.records, 0) as blocked, f.since, f.sample_key,
       f.reason
  from failed f
  left join blocked b on b.kind = f.kind and b.error_class is not distinct from f.error_class
                     and b.error_code is not distinct from f.error_code
                     and b.error_field is not distinct from f.error_field
union all
select 'waiting', kind, null, null, null, waiting_kind, coalesce(status, 'not known'),
       count(*)::int, 0, min(settled_at), min(key),
       min(waiting_kind || ' ' || waiting_key || ' is ' || coalesce(status, 'not known'))
  from rooted where status is distinct from 'failed' group by kind, waiting_kind, status
union all
select 'uncertain', d.kind, null, null, null, null, null, count(*)::int, 0, min(d.settled_at),
       min(d.key), min(d.error_message)
  from (select kind, key, settled_at, error_message from stuck
         where status = 'uncertain' and due_at is null
        union all
        select r.kind, r.key, r.settled_at, 'there are records in Zoho that it may be'
          from zohosync.records r
         where r.org_id = %(org_id)s and r.rivals <> '{}' and r.zoho_id is null
           and r.status not in ('uncertain', 'failed')) d
 group by d.kind
 order by topic, kind, records desc
