-- Promise: every known record of a kind whose row the mapping no longer returns is marked, as is what
--   is gone and waits for its row under another key; runs in the
--   transaction that has just marked each row there is, so that what has no mark of it is gone.
-- Locks: none (append).
-- Index: none (reads the kind's records and the marks once each).
insert into zohosync.marks (kind, key, op, priority)
select r.kind, r.key, 'D', %(priority)s
  from zohosync.records r
  join zohosync.organizations o on o.org_id = r.org_id and o.active
 where r.kind = %(kind)s and (not r.gone or r.waiting_kind = r.kind)
   and not exists (select from zohosync.marks m where m.kind = r.kind and m.key = r.key)
