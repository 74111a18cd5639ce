-- Promise: the record that a Zoho id is linked to, and whether anything of it is under way.
-- Locks: none.
-- Index: records_one_per_zoho_id.
select r.key, r.lease_until is not null or r.intent_id is not null as busy
  from zohosync.records r
 where r.org_id = %(org_id)s and r.kind = %(kind)s and r.zoho_id = %(zoho_id)s
