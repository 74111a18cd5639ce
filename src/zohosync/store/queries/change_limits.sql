-- Promise: these limits hold from the next admission on, in every process; a raised one opens what the
--   old one had closed.
-- Locks: the organisation's row.
-- Index: organizations_pkey.
update zohosync.organizations o
   set limits = %(limits)s::jsonb, lanes_closed = '{}',
       closed_until = case when o.closed_reason = %(day_spent)s then null else o.closed_until end
 where o.org_id = %(org_id)s and o.limits <> %(limits)s::jsonb
