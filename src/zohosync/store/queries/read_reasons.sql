-- Promise: why records need a person or wait, the most frequent reasons first, each with a sample key.
-- Locks: none.
-- Index: records_status.
select r.kind, r.status, r.error_field, coalesce(r.error_message, '') as reason,
       count(*)::int as records, min(r.key) as sample_key
  from zohosync.records r
 where r.org_id = %(org_id)s and r.status in ('failed', 'uncertain', 'waiting')
 group by r.kind, r.status, r.error_field, r.error_message
 order by r.status = 'waiting', count(*) desc, r.kind limit %(limit)s
