-- Promise: these notices are to be sent to these channels.
-- Locks: none.
-- Index: none.
insert into zohosync.notices (org_id, made_at, try_at, grave, good, title, body, fingerprints, pending)
select %(org_id)s, b.now, b.now, n.grave, n.good, n.title, n.body, n.fingerprints,
       %(channels)s::text[]
  from jsonb_to_recordset(%(rows)s::jsonb)
         as n (place integer, grave boolean, good boolean, title text, body text, fingerprints text[]),
       (select zohosync.current_time() as now) b
 order by n.place
