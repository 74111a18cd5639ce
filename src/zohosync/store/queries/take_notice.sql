-- Promise: the oldest notice that is due and that one of our channels has not taken; it is ours to send for
--   as long as the lease runs, and nobody else's.
-- Locks: that row (SKIP LOCKED).
-- Index: notices_due, notices_pkey.
with due as materialized (
  select n.notice_id from zohosync.notices n
   where n.org_id = %(org_id)s and n.done_at is null
     and n.try_at <= (select zohosync.current_time())
     and (n.sending_until is null or n.sending_until <= (select zohosync.current_time()))
     and n.pending && %(channels)s::text[]
   order by n.grave desc, n.notice_id limit 1 for update skip locked
)
update zohosync.notices n
   set tries = n.tries + 1, sending_by = %(worker)s,
       sending_until = zohosync.current_time() + make_interval(secs => %(lease_s)s)
  from due
 where n.notice_id = due.notice_id
returning n.notice_id, n.title, n.body, n.grave, n.good, n.pending, n.tries
