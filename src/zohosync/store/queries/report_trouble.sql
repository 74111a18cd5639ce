-- Promise: from now on this fails, by a process's own word; null: it does not, any more. No row where that was
--   known.
-- Locks: that row.
-- Index: alerts_pkey.
insert into zohosync.alerts as a (org_id, fingerprint, topic, reported, resolved_at)
select o.org_id, %(fingerprint)s, split_part(%(fingerprint)s, '/', 1), %(reported)s, zohosync.current_time()
  from zohosync.organizations o
 where o.org_id = %(org_id)s
   and (%(reported)s::text is not null or exists (
     select from zohosync.alerts k
      where k.org_id = o.org_id and k.fingerprint = %(fingerprint)s and k.reported is not null))
on conflict (org_id, fingerprint) do update set reported = excluded.reported
 where (a.reported is null) is distinct from (excluded.reported is null)
returning a.fingerprint
