-- Promise: keys of records of a kind whose rows are here, as many as limit.
-- Locks: none.
-- Index: records_pkey.
select r.key from zohosync.records r
 where r.org_id = %(org_id)s and r.kind = %(kind)s and not r.gone
   and r.error_code is distinct from 'unlisted'
 order by r.key limit %(limit)s
