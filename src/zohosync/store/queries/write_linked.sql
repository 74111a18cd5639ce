-- Promise: these records are linked and in step, as `read_linked` read them somewhere else.
-- Locks: none (new rows).
-- Index: none (insert).
insert into zohosync.records (org_id, kind, key, synced_version, status, zoho_id, payload, fingerprint,
  remote_state, hints, identity)
select %(org_id)s, r.kind, r.key, 1, 'synced', r.zoho_id, r.payload::jsonb, r.fingerprint, r.remote_state,
       coalesce(r.hints::jsonb, '{}'), r.identity::jsonb
  from jsonb_to_recordset(%(rows)s::jsonb) as r (kind text, key text, zoho_id text, payload text,
         fingerprint text, remote_state text, hints text, identity text)
