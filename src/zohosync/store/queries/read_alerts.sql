-- Promise: the alerts that stand, and those that ended since; the newest first.
-- Locks: none.
-- Index: none (some dozens of rows).
select a.* from zohosync.alerts a
 where a.org_id = %(org_id)s
   and (a.resolved_at is null or a.resolved_at >= %(since)s::timestamptz or a.reported is not null)
 order by a.first_seen desc, a.fingerprint
