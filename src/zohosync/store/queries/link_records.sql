-- Promise: each of these rows is linked to its record in Zoho, with the payload as it was read for its
--   baseline, so that nothing is sent until the row changes: a mark that came since leaves it due.
--   What is linked, under way or has an open intent is left alone, as is a Zoho id that is another
--   record's. Returns the keys that are linked.
-- Locks: the records, by key.
-- Index: records_pkey, records_one_per_zoho_id.
insert into zohosync.records as r (org_id, kind, key, version, synced_version, status, zoho_id,
  payload, fingerprint, remote_state, identity, asked, hints, accepted, proof,
  settled_at)
select %(org_id)s, %(kind)s, l.key, 1, 1, 'synced', l.zoho_id, l.payload, l.fingerprint,
       l.remote_state, l.identity, l.asked, l.hints, l.accepted, l.proof, zohosync.current_time()
  from jsonb_to_recordset(%(rows)s::jsonb) as l (key text, zoho_id text, version bigint,
       payload jsonb, fingerprint text, remote_state text, identity jsonb, asked text,
       hints jsonb, accepted jsonb, proof jsonb)
 where not exists (select from zohosync.records o
                    where o.org_id = %(org_id)s and o.kind = %(kind)s and o.zoho_id = l.zoho_id)
 order by l.key
on conflict (org_id, kind, key) do update
   set zoho_id = excluded.zoho_id, payload = excluded.payload, fingerprint = excluded.fingerprint,
       remote_state = excluded.remote_state, identity = excluded.identity, gone = false,
       asked = excluded.asked, hints = r.hints || excluded.hints,
       excluded = array_remove(r.excluded, excluded.zoho_id),
       accepted = excluded.accepted, proof = excluded.proof, rivals = '{}',
       synced_version = least(r.version, (%(versions)s::jsonb ->> r.key)::bigint),
       status = case when r.version > (%(versions)s::jsonb ->> r.key)::bigint then 'pending'
                     else 'synced' end,
       due_at = case when r.version > (%(versions)s::jsonb ->> r.key)::bigint
                     then zohosync.current_time() end,
       attempts = 0, looks = 0, waiting_kind = null, waiting_key = null, waiting_needs = '{}',
       error_class = null, error_code = null, error_field = null, error_message = null,
       settled_at = zohosync.current_time()
 where r.zoho_id is null and r.intent_id is null and r.lease_until is null
returning r.key
