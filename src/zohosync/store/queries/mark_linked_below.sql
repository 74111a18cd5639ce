-- Promise: a mark for whatever is linked and was last written with this Zoho id in it: its parent's,
--   before a person said that the parent is another one. It looks again, and says what cannot follow.
-- Locks: none (append).
-- Index: records_identity (all records of these kinds are read: a person's word is rare).
insert into zohosync.marks (kind, key, op, priority)
select r.kind, r.key, 'B', 5
  from zohosync.records r join zohosync.organizations o on o.org_id = r.org_id and o.active
 where r.org_id = %(org_id)s and r.kind = any (%(kinds)s::text[]) and r.zoho_id is not null
   and strpos(r.payload::text, '"' || %(zoho_id)s || '"') > 0
 order by r.kind, r.key
