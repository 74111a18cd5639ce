-- Promise: the notices that some channel has not taken, the oldest first.
-- Locks: none.
-- Index: notices_due.
select n.notice_id, n.made_at, n.title, n.pending, n.tries, n.try_at, n.error
  from zohosync.notices n
 where n.org_id = %(org_id)s and n.done_at is null
 order by n.notice_id limit %(limit)s
