-- Promise: the runs of this worker go on; those that it did not say so of in time are not its own any more.
-- Locks: those rows.
-- Index: jobs_pkey.
update zohosync.jobs j
   set held_until = zohosync.current_time() + make_interval(secs => %(lease_s)s)
 where j.org_id = %(org_id)s and j.worker = %(worker)s and j.state = 'running'
   and j.held_until > zohosync.current_time()
returning j.job
