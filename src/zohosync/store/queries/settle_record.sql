-- Promise: the end of an attempt, written only while the lease is still ours (epoch); a mark that came
--   in between leaves the record pending. Returns no row when the lease was lost.
-- Locks: the record.
-- Index: records_pkey.
update zohosync.records r
   set status = case when r.version > %(version)s and %(status)s in ('synced', 'failed', 'skipped')
                     then 'pending' else %(status)s end,
       due_at = case
         when r.version > %(version)s and %(status)s = 'synced' and r.priority < 10
           then zohosync.current_time() + %(debounce)s
         when r.version > %(version)s and %(status)s in ('synced', 'failed', 'skipped', 'waiting')
           then zohosync.current_time()
         else zohosync.current_time() + make_interval(secs => %(due_in_s)s) end,
       synced_version = case when %(status)s in ('synced', 'skipped') then %(version)s
                             else r.synced_version end,
       attempts = %(attempts)s, looks = %(looks)s,
       zoho_id = coalesce(%(zoho_id)s, r.zoho_id),
       payload = coalesce(%(payload)s::jsonb, r.payload),
       fingerprint = coalesce(%(fingerprint)s, r.fingerprint),
       remote_state = coalesce(%(remote_state)s, r.remote_state),
       hints = r.hints || %(hints)s::jsonb,
       identity = coalesce(%(identity)s::jsonb, r.identity),
       gone = coalesce(%(gone)s, r.gone),
       to_check = false,
       intent_id = case when %(keep_intent)s then r.intent_id end,
       waiting_kind = %(waiting_kind)s, waiting_key = %(waiting_key)s,
       waiting_needs = %(waiting_needs)s,
       error_class = %(error_class)s, error_code = %(error_code)s, error_field = %(error_field)s,
       error_message = %(error_message)s,
       success_at = case when %(succeeded)s then zohosync.current_time() else r.success_at end,
       settled_at = zohosync.current_time(),
       lease_until = null, lease_worker = null
 where r.org_id = %(org_id)s and r.kind = %(kind)s and r.key = %(key)s
   and r.lease_epoch = %(epoch)s and r.lease_until is not null
returning r.status, r.zoho_id, r.remote_state, r.due_at
