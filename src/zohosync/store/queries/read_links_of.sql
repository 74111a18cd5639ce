-- Promise: the named records' versions, links and baselines, as they are before their rows are read.
-- Locks: none.
-- Index: records_pkey.
select r.key, r.version, r.synced_version, r.status, r.zoho_id, r.payload, r.accepted, r.error_message,
       r.excluded,
       r.intent_id is not null or r.lease_until is not null as busy
  from unnest(%(keys)s::text[]) as named (key)
  join zohosync.records r on r.org_id = %(org_id)s and r.kind = %(kind)s and r.key = named.key
