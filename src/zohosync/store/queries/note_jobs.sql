-- Promise: these jobs are known.
-- Locks: none.
-- Index: jobs_pkey.
insert into zohosync.jobs (org_id, job)
select %(org_id)s, name from unnest(%(jobs)s::text[]) as name order by name
on conflict (org_id, job) do nothing
