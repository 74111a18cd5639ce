-- Promise: a run begins, once: only while the job is as it was seen (`runs`) and no run of it goes on; for a
--   leader (`epoch`) only while it leads. No row: somebody else was faster, or leads by now.
-- Locks: the job's row.
-- Index: jobs_pkey, leaders_pkey.
update zohosync.jobs j
   set state = 'running', runs = j.runs + 1, worker = %(worker)s, failures = j.failures + 1,
       started_at = zohosync.current_time(), ended_at = null,
       held_until = zohosync.current_time() + make_interval(secs => %(lease_s)s)
 where j.org_id = %(org_id)s and j.job = %(job)s and j.runs = %(runs)s
   and (j.state <> 'running' or j.held_until <= zohosync.current_time())
   and (%(epoch)s::bigint is null or exists (
     select from zohosync.leaders l
      where l.org_id = j.org_id and l.worker = %(worker)s and l.epoch = %(epoch)s
        and l.until > zohosync.current_time()))
returning j.runs
