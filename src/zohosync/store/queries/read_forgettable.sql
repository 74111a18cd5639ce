-- Promise: forgotten records that are records still, or again, of which nothing is in doubt any more and whose
--   rows were seen to be away.
-- Locks: none.
-- Index: records_forgotten.
select r.kind, r.key from zohosync.records r
 where r.org_id = %(org_id)s and r.identity @> '{"forgotten": true}' and r.gone
   and r.status = 'skipped' and r.intent_id is null and r.lease_until is null
   and r.version = r.synced_version
 order by r.kind, r.key limit %(limit)s
