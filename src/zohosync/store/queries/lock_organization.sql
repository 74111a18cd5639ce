-- Promise: nobody else decides on calls of this organisation until this transaction ends.
-- Locks: the organisation's row; the count and the insert are later statements of the same
--   transaction (one statement for all three was measured to over-grant).
-- Index: organizations_pkey.
select o.org_id, o.time_zone, o.paused, o.closed_until, o.closed_reason, o.overloads, o.limits
  from zohosync.organizations o where o.org_id = %(org_id)s for update
