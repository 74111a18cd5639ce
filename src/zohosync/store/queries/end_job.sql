-- Promise: how this run ended, unless it is another one's by now.
-- Locks: the job's row.
-- Index: jobs_pkey.
update zohosync.jobs j
   set state = case when %(done)s then 'done' else 'failed' end, ended_at = zohosync.current_time(),
       held_until = null, took_ms = %(took_ms)s, told = %(told)s,
       failures = case when %(done)s then 0 else j.failures end,
       failed = j.failed + case when %(done)s then 0 else 1 end
 where j.org_id = %(org_id)s and j.job = %(job)s and j.worker = %(worker)s and j.runs = %(runs)s
   and j.state = 'running'
