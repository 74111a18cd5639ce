-- Promise: every job that is known, as it stands, with the database's time and the organisation's zone; of
--   an organisation without one, one row with nulls.
-- Locks: none.
-- Index: organizations_pkey, jobs_pkey.
select zohosync.current_time() as now, o.time_zone, j.job, j.noted_at, j.runs, j.state, j.started_at,
       j.ended_at, j.worker, j.held_until, j.took_ms, j.told, j.failures, j.failed
  from zohosync.organizations o
  left join zohosync.jobs j on j.org_id = o.org_id
 where o.org_id = %(org_id)s
 order by j.job
