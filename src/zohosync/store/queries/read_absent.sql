-- Promise: the records of a kind that are not among these keys, and whose rows were not seen to be gone; or that
--   wait for their row under another key.
-- Locks: none.
-- Index: none (reads the kind's records once).
select r.key, r.status
  from zohosync.records r
 where r.org_id = %(org_id)s and r.kind = %(kind)s and (not r.gone or r.waiting_kind = r.kind)
   and not exists (select from unnest(%(keys)s::text[]) as k where k = r.key)
 order by r.key
