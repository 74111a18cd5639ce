-- Promise: when this key was forgotten; no row: it was not, or has come back since.
-- Locks: none.
-- Index: forgotten_pkey.
select f.forgotten_at, f.zoho_id from zohosync.forgotten f
 where f.org_id = %(org_id)s and f.kind = %(kind)s
   and f.key_hash = (select zohosync.digest_of(%(org_id)s, %(kind)s, %(key)s))
