-- Promise: how the organisation was judged last, and since when it stands so.
-- Locks: none.
-- Index: health_pkey.
select h.state, h.since, h.judged_at, h.checks,
       extract(epoch from zohosync.current_time() - h.since)::float8 as since_s
  from zohosync.health h where h.org_id = %(org_id)s
