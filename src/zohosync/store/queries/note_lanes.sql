-- Promise: who waits in which lane, and until when lanes are closed, are known to every process.
-- Locks: none beyond the organisation's row, which is held.
-- Index: organizations_pkey.
update zohosync.organizations o
   set lanes_waiting = %(waiting)s::jsonb, lanes_closed = o.lanes_closed || %(closed)s::jsonb
 where o.org_id = %(org_id)s
