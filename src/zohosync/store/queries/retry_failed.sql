-- Promise: failed records, and uncertain ones that are left to a person, are marked, so that they are
--   tried (or looked up) again with the row as it is now; nothing else of them changes.
-- Locks: none (marks are appended).
-- Index: records_status, records_pkey.
insert into zohosync.marks (kind, key, op, priority)
select r.kind, r.key, 'R', greatest(r.priority, 5)
  from zohosync.records r
 where r.org_id = %(org_id)s and r.kind = %(kind)s
   and (r.status = 'failed' or (r.status = 'uncertain' and r.due_at is null))
   and (%(key)s::text is null or r.key = %(key)s)
 order by r.key
