-- Promise: what nobody is to hear of, and until when.
-- Locks: none.
-- Index: none (a handful of rows).
select m.target, m.until, m.muted_at from zohosync.alert_mutes m
 where m.org_id = %(org_id)s and m.until > zohosync.current_time() order by m.target
