-- Promise: what grave causes hang on, in a few values that change when one comes or goes; and whether a
--   notice is to be sent now.
-- Locks: none.
-- Index: organizations_pkey, usage_days_pkey, notices_due (of workers there is a handful).
select o.paused, o.overloads >= %(down_after)s as down, o.brakes::text as brakes,
       coalesce(o.closed_until > b.now + make_interval(secs => %(closed_for_s)s), false) as closed,
       coalesce(o.mints_closed_until > b.now + make_interval(secs => %(closed_for_s)s), false)
         as mints_closed,
       coalesce(u.warned, 0)::int as warned,
       (select string_agg(w.worker, ' ' order by w.worker) from zohosync.workers w
         where w.org_id = o.org_id
           and w.heartbeat_at <= b.now - make_interval(secs => %(alive_s)s)) as silent,
       exists (select from zohosync.notices n
                where n.org_id = o.org_id and n.done_at is null and n.try_at <= b.now
                  and (n.sending_until is null or n.sending_until <= b.now)
                  and n.pending && %(channels)s::text[]) as notices
  from zohosync.organizations o
 cross join lateral (select zohosync.current_time() as now) b
  left join zohosync.usage_days u
    on u.org_id = o.org_id and u.day = (b.now at time zone o.time_zone)::date
 where o.org_id = %(org_id)s
