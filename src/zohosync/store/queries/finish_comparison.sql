-- Promise: the comparison is finished with these counts; earlier ones of the kind, and what only they
--   saw, are gone.
-- Locks: the readings of the kind.
-- Index: comparisons_pkey (and all that was seen of the kind).
with finished as (
  update zohosync.comparisons
     set finished_at = zohosync.current_time(), counts = %(counts)s::jsonb,
         busy_by = null, busy_until = null
   where comparison_id = %(comparison_id)s
  returning org_id, kind, comparison_id
), unseen as (
  delete from zohosync.seen s using finished f
   where s.org_id = f.org_id and s.kind = f.kind and s.comparison_id < f.comparison_id
)
delete from zohosync.comparisons c using finished f
 where c.org_id = f.org_id and c.kind = f.kind and c.comparison_id < f.comparison_id
