-- Promise: who leads the organisation's upkeep, since when, and for how many seconds still; no row: nobody.
-- Locks: none.
-- Index: leaders_pkey.
select l.worker, l.since, extract(epoch from l.until - zohosync.current_time())::float8 as lease_s
  from zohosync.leaders l
 where l.org_id = %(org_id)s and l.until > zohosync.current_time()
