-- Promise: a journal row for each call that may leave, before it leaves; a call of a claim only while
--   the lease holds (epoch), and a write becomes the record's open intent in the same moment, with who
--   its row says it is. The
--   day's totals per lane are kept on the organisation's row; a new day begins with the calls that
--   the remote may count on it, too (as in view_journal).
-- Locks: the claimed records, ordered by kind and key; the organisation's row is held.
-- Index: records_pkey, api_calls_counting.
with wanted as (
  select * from jsonb_to_recordset(%(calls)s::jsonb) as c (
    place integer, door text, lane smallint, kind text, key text, lease_epoch bigint,
    operation text, method text, path text, writes boolean, intent jsonb, intent_total numeric,
    mint_key text, ends boolean, identity jsonb)
), held as materialized (
  select r.kind, r.key, r.lease_epoch
    from zohosync.records r join wanted w using (kind, key)
   where r.org_id = %(org_id)s and r.lease_epoch = w.lease_epoch
     and r.lease_until > zohosync.current_time()
   order by r.kind, r.key for no key update of r
), allowed as materialized (
  select nextval('zohosync.api_calls_call_id_seq') as call_id, w.*,
         zohosync.current_time() as started_at
    from wanted w
   where w.kind is null or exists (
     select from held h where h.kind = w.kind and h.key = w.key and h.lease_epoch = w.lease_epoch)
), opened as (
  insert into zohosync.api_calls (call_id, org_id, door, lane, kind, key, lease_epoch, worker,
    operation, method, path, started_at, deadline, counts_until, intent, intent_total,
    intent_state, mint_key, ends)
  overriding system value
  select call_id, %(org_id)s, door, lane, kind, key, lease_epoch, %(worker)s, operation, method, path,
         started_at, started_at + make_interval(secs => %(time_limit_s)s),
         started_at + make_interval(secs => %(time_limit_s)s + %(minute_s)s),
         intent, intent_total, case when writes and kind is not null then 'open' end, mint_key,
         coalesce(ends, false)
    from allowed
), intended as (
  update zohosync.records r
     set intent_id = a.call_id,
         identity = case when r.gone and r.zoho_id is not null then r.identity
                         else coalesce(a.identity, r.identity) end
    from allowed a
   where a.writes and r.org_id = %(org_id)s and r.kind = a.kind and r.key = a.key
), today as materialized (
  select d.day, o.day is not distinct from d.day as goes_on,
         d.day::timestamp at time zone o.time_zone as began
    from zohosync.organizations o,
         lateral (select ((zohosync.current_time() - make_interval(secs => %(day_guard_s)s))
                            at time zone o.time_zone)::date as day) d
   where o.org_id = %(org_id)s
), across as materialized (  -- calls around midnight
  select c.lane from today t, zohosync.api_calls c
   where not t.goes_on and c.org_id = %(org_id)s and c.door = 'api'
     and c.counts_until between t.began + make_interval(secs => %(minute_s)s - %(day_guard_s)s)
                            and t.began + interval '10 minutes'
), counted as (
  update zohosync.organizations o
     set day = today.day,
         day_foreign = case when today.goes_on then o.day_foreign else 0 end,
         quota_limit = case when today.goes_on then o.quota_limit end,
         day_calls = case when today.goes_on then o.day_calls
                          else (select count(*) from across) end + new.calls,
         day_by_lane = (
           select coalesce(jsonb_object_agg(lane, calls), '{}')
             from (select lane, sum(calls) as calls
                     from (select key as lane, value::int as calls
                             from jsonb_each_text(o.day_by_lane) where today.goes_on
                           union all
                           select lane::text, 1 from across
                           union all
                           select a.lane::text, 1 from allowed a where a.door = 'api') as both_
                    group by lane) as sums)
    from today, (select count(*)::int as calls from allowed where door = 'api') as new
   where o.org_id = %(org_id)s and new.calls > 0
)
select place, call_id from allowed order by place
