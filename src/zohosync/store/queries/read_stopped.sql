-- Promise: every record that is neither in step nor skipped, why, and for whom it waits.
-- Locks: none.
-- Index: records_status (what is in step is not looked at).
select r.kind, r.key, r.status, r.zoho_id, r.error_field, r.error_message, r.waiting_kind,
       r.waiting_key
  from zohosync.records r
 where r.org_id = %(org_id)s and r.status not in ('synced', 'skipped')
 order by r.kind, r.key
