-- Promise: nobody judges the organisation's alerts until the end of this transaction; whoever does in this
--   moment is waited for. What is read of them afterwards, in a statement of its own, is as it stays.
-- Locks: the advisory one of lock_alerts.
-- Index: none.
select pg_advisory_xact_lock(hashtextextended(%(org_id)s, 8823055845219037812))
