-- Promise: nothing of ours tells any more what the record was, all or nothing: not its payload, not what
--   was sent and answered, not what comparisons saw; its attempts and calls count on under another name
--   (`alias`). What was in Zoho, or may be, is remembered by a hash of the key. While a write of it is in
--   doubt, the record and that write stay, to be found out about. With `act` it stands in the audit.
-- Locks: the record (held by the transaction), its rows elsewhere.
-- Index: records_pkey, sync_logs_record, api_calls_record, compared_key, seen_pkey, let_through_pkey.
with who as materialized (
  select d.hash, '~' || left(d.hash, 16) as alias
    from (select zohosync.digest_of(%(org_id)s, %(kind)s, %(key)s) as hash) d
), held as materialized (
  select r.*,
         (select coalesce(jsonb_object_agg(n, r.hints -> n), '{}')
            from unnest(%(hints)s::text[]) n where r.hints ? n) as kept,
         case when r.identity @> '{"forgotten": true}' then r.identity ->> 'told'
              when %(tells)s then zohosync.digest_of(r.org_id, r.kind, r.identity::text) end as told
    from zohosync.records r
   where r.org_id = %(org_id)s and r.kind = %(kind)s and r.key = %(key)s and r.lease_until is null
), flagged as (
  update zohosync.records r
     set identity = jsonb_build_object('forgotten', true, 'told', h.told), gone = true,
         payload = null, fingerprint = null, asked = null, hints = h.kept, accepted = '{}',
         proof = '{}', error_message = null
    from held h
   where h.intent_id is not null and r.org_id = h.org_id and r.kind = h.kind and r.key = h.key
  returning 1
), gone as (
  delete from zohosync.records r using held h
   where h.intent_id is null and r.org_id = h.org_id and r.kind = h.kind and r.key = h.key
  returning 1
), kept as (
  insert into zohosync.forgotten as f (org_id, kind, key_hash, told_hash, zoho_id, remote_state, hints,
    rivals, excluded)
  select h.org_id, h.kind, w.hash, h.told, h.zoho_id, h.remote_state, h.kept, h.rivals, h.excluded
    from held h, who w
   where h.intent_id is null and (h.zoho_id is not null or h.rivals <> '{}')
  on conflict (org_id, kind, key_hash) do update
     set zoho_id = excluded.zoho_id, remote_state = excluded.remote_state
  returning 1
), marks as (
  delete from zohosync.marks m using zohosync.organizations o
   where o.org_id = %(org_id)s and o.active and m.kind = %(kind)s and m.key = %(key)s
), logs as (
  update zohosync.sync_logs l
     set key = w.alias, request_payload = null, response_payload = null, error_message = null
    from who w
   where l.org_id = %(org_id)s and l.kind = %(kind)s and l.key = %(key)s
  returning 1
), calls as (
  update zohosync.api_calls c
     set key = w.alias, intent = null,
         intent_state = case when c.intent_state is not null then 'closed' end
    from who w
   where c.org_id = %(org_id)s and c.kind = %(kind)s and c.key = %(key)s
     and c.call_id is distinct from (select intent_id from held)
  returning 1
), compared as (
  delete from zohosync.compared p
   where p.org_id = %(org_id)s and p.kind = %(kind)s
     and (p.key = %(key)s or (p.key is null and p.zoho_id = (select zoho_id from held)))
  returning 1
), seen as (
  delete from zohosync.seen s
   where s.org_id = %(org_id)s and s.kind = %(kind)s and s.zoho_id = (select zoho_id from held)
  returning 1
), let_through as (
  delete from zohosync.let_through t
   where t.org_id = %(org_id)s and t.kind = %(kind)s and t.key = %(key)s
), acts as (
  update zohosync.audit a set target = %(kind)s || ' ' || w.alias, before = null, after = null
    from who w
   where a.org_id = %(org_id)s and a.target = %(kind)s || ' ' || %(key)s
  returning 1
), counted as materialized (
  select w.alias, (select count(*) from flagged)::int as pending,
         (select count(*) from gone)::int as records, (select count(*) from kept)::int as remembered,
         (select zoho_id from held) as zoho_id, (select count(*) from logs)::int as logs,
         (select count(*) from calls)::int as calls, (select count(*) from acts)::int as acts,
         (select count(*) from compared)::int + (select count(*) from seen)::int as compared
    from who w
), noted as (
  insert into zohosync.audit (org_id, act, target, why, after)
  select %(org_id)s, %(act)s, %(kind)s || ' ' || c.alias, %(why)s, to_jsonb(c) - 'alias'
    from counted c where %(act)s::text is not null
  returning audit_id
)
select c.*, (select audit_id from noted) as audit_id from counted c
