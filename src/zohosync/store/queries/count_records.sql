-- Promise: how many records of each kind stand in each status.
-- Locks: none.
-- Index: none (a full count; shown to people, not used to decide).
select r.kind, r.status, count(*)::int as records, min(r.due_at) as oldest_due,
       count(*) filter (where r.zoho_id is not null)::int as linked
  from zohosync.records r where r.org_id = %(org_id)s group by r.kind, r.status
