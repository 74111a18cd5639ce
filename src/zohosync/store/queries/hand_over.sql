-- Promise: a vanished record gives its link up, in the transaction in which another takes it; not while
--   anybody works on it or a write of it may still land. It is due, to be found gone. No row when it
--   cannot.
-- Locks: the record.
-- Index: records_one_per_zoho_id.
update zohosync.records r
   set status = 'pending', due_at = zohosync.current_time(), gone = true, to_check = false,
       zoho_id = null, payload = null, fingerprint = null, remote_state = null, hints = '{}',
       accepted = '{}', proof = '{}', attempts = 0, looks = 0,
       waiting_kind = null, waiting_key = null, waiting_needs = '{}',
       error_class = null, error_code = null, error_field = null, error_message = null
 where r.org_id = %(org_id)s and r.kind = %(kind)s and r.key = %(key)s and r.zoho_id = %(zoho_id)s
   and r.lease_until is null and r.intent_id is null
returning r.key
