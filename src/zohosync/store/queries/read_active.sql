-- Promise: the organisation that marks go to; no row where none is registered.
-- Locks: none.
-- Index: organizations_one_active.
select o.org_id from zohosync.organizations o where o.active
