-- Promise: a journal row for each call that may leave, before it leaves; a call of a claim only while
--   the lease holds (epoch), and a write becomes the record's open intent in the same moment, with who
--   its row says it is. The day's totals per lane are kept on the organisation's row.
-- Locks: the claimed records, ordered by kind and key; the organisation's row is held.
-- Index: records_pkey, organizations_pkey.
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
), counted as (
  update zohosync.organizations o
     set day_calls = o.day_calls + new.calls,
         day_by_lane = o.day_by_lane || (
           select jsonb_object_agg(lane, calls + coalesce((o.day_by_lane ->> lane)::int, 0))
             from (select a.lane::text, count(*)::int as calls
                     from allowed a where a.door = 'api' group by a.lane) as by_lane)
    from (select count(*)::int as calls from allowed where door = 'api') as new
   where o.org_id = %(org_id)s and new.calls > 0
)
select place, call_id from allowed order by place
