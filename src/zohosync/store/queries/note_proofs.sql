-- Promise: of these linked records, those fields were seen equal in Zoho at that instant.
-- Locks: the records, by key; those that a worker holds are passed over.
-- Index: records_pkey.
with proofs as materialized (
  select key, zoho_id, proof
    from jsonb_to_recordset(%(rows)s::jsonb) as p (key text, zoho_id text, proof jsonb)
), free as materialized (
  select r.key, p.proof
    from proofs p
    join zohosync.records r on r.org_id = %(org_id)s and r.kind = %(kind)s and r.key = p.key
   where r.zoho_id = p.zoho_id and r.lease_until is null
   order by r.key for no key update of r skip locked
)
update zohosync.records r set proof = r.proof || f.proof
  from free f where r.org_id = %(org_id)s and r.kind = %(kind)s and r.key = f.key
