-- Promise: failed records are marked, so that they are tried again with the row as it is now; nothing
--   else of them changes.
-- Locks: none (marks are appended).
-- Index: records_status, records_pkey.
insert into zohosync.marks (kind, key, op, priority)
select r.kind, r.key, 'R', greatest(r.priority, 5)
  from zohosync.records r
 where r.org_id = %(org_id)s and r.status = 'failed' and r.kind = %(kind)s
   and (%(key)s::text is null or r.key = %(key)s)
 order by r.key
