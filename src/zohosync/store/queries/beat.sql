-- Promise: this worker is known to be alive now; returns how long ago the others were.
-- Locks: its own row.
-- Index: workers_pkey.
insert into zohosync.workers (worker, org_id, host, pid, version)
values (%(worker)s, %(org_id)s, %(host)s, %(pid)s, %(version)s)
on conflict (worker) do update set heartbeat_at = zohosync.current_time()
