-- Promise: nobody hears of this target for so long; without a length of time, everybody does again. The act
--   is in the audit. Returns until when.
-- Locks: that row.
-- Index: alert_mutes_pkey, organizations_pkey.
with unmuted as (
  delete from zohosync.alert_mutes
   where org_id = %(org_id)s and target = %(target)s and %(for_s)s::float8 is null
  returning org_id, target, until
), muted as (
  insert into zohosync.alert_mutes (org_id, target, until)
  select o.org_id, %(target)s, zohosync.current_time() + make_interval(secs => %(for_s)s::float8)
    from zohosync.organizations o
   where o.org_id = %(org_id)s and %(for_s)s::float8 is not null
  on conflict (org_id, target) do update set until = excluded.until,
     muted_at = zohosync.current_time()
  returning org_id, target, until
), done as (
  select 'unmute' as act, u.* from unmuted u union all select 'mute', m.* from muted m
), noted as (
  insert into zohosync.audit (org_id, act, target, why)
  select org_id, act || ' alerts', target, 'until ' || until from done
)
select target, until from done
