-- Promise: these runs of this worker go on; what it did not say that of in time is not its own any more
--   (a run whose claim was committed and never heard of, too).
-- Locks: those rows.
-- Index: jobs_pkey.
update zohosync.jobs j
   set held_until = zohosync.current_time() + make_interval(secs => %(lease_s)s)
 where j.org_id = %(org_id)s and j.worker = %(worker)s and j.state = 'running'
   and j.job = any (%(jobs)s::text[])
   and j.held_until > zohosync.current_time()
returning j.job
