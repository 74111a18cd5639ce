-- Promise: the newest finished comparison of each kind, with its counts, and the one under way.
-- Locks: none.
-- Index: - (a row or two of each kind)
select distinct on (kind, finished_at is null) kind, comparison_id, started_at, finished_at, pass,
       page, calls, counts, busy_by, busy_until > zohosync.current_time() as busy
  from zohosync.comparisons where org_id = %(org_id)s
 order by kind, finished_at is null, comparison_id desc
