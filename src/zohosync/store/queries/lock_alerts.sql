-- Promise: one process judges an organisation's alerts at a time, until its transaction ends; false: another
--   one does so in this moment.
-- Locks: an advisory one of ours ('zs alert' in ASCII), for this organisation.
-- Index: none.
select pg_try_advisory_xact_lock(hashtextextended(%(org_id)s, 8823055845219037812)) as ours
