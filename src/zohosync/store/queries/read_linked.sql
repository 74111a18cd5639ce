-- Promise: every linked record with what Zoho last accepted of it, JSON as text.
-- Locks: none.
-- Index: none (the whole book, once a rehearsal).
select r.kind, r.key, r.zoho_id, r.payload::text, r.fingerprint, r.remote_state, r.hints::text,
       r.identity::text
  from zohosync.records r where r.org_id = %(org_id)s and r.zoho_id is not null
