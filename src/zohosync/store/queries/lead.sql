-- Promise: one process of the organisation leads: the one that does, as long as it says so before its lease
--   runs out, then whoever asks first. `epoch` is the leadership's own; no row: somebody else leads.
-- Locks: the organisation's row of leaders.
-- Index: leaders_pkey, organizations_pkey.
insert into zohosync.leaders as l (org_id, worker, epoch, since, until)
select o.org_id, %(worker)s, 1, t.now, t.now + make_interval(secs => %(lease_s)s)
  from zohosync.organizations o, (select zohosync.current_time() as now) t
 where o.org_id = %(org_id)s
on conflict (org_id) do update
   set epoch = case when l.worker = excluded.worker and l.until > excluded.since then l.epoch
                    else l.epoch + 1 end,
       since = case when l.worker = excluded.worker and l.until > excluded.since then l.since
                    else excluded.since end,
       worker = excluded.worker, until = excluded.until
 where l.worker = excluded.worker or l.until is null or l.until <= excluded.since
returning epoch
