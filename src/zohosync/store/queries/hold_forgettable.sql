-- Promise: the record as it stands, and as it stays until this transaction ends; no row: there is none.
-- Locks: the record.
-- Index: records_pkey.
select r.lease_until is not null as leased, r.intent_id is not null as in_doubt,
       r.status, r.gone, r.identity @> '{"forgotten": true}' as forgotten
  from zohosync.records r
 where r.org_id = %(org_id)s and r.kind = %(kind)s and r.key = %(key)s
   for update
