-- Promise: the alerts that stand, and those that ended lately; the newest first.
-- Locks: none.
-- Index: none (some dozens of rows).
select a.* from zohosync.alerts a
 where a.org_id = %(org_id)s
   and (a.resolved_at is null or a.reported is not null
        or a.resolved_at >= zohosync.current_time() - make_interval(secs => %(lately_s)s))
 order by a.first_seen desc, a.fingerprint
