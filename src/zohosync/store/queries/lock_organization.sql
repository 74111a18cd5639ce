-- Promise: nobody else decides on calls of this organisation until this transaction ends; and what it
--   writes is on disk before a call leaves, even where the database commits lazily.
-- Locks: the organisation's row, but not against new records, which refer to it; the count and the
--   insert are later statements of the same transaction (one statement for all three was measured to
--   over-grant).
-- Index: organizations_pkey.
-- (A journal of a million rows is looked at with one plan, too: Postgres would think it over each time.)
select o.org_id, set_config('synchronous_commit', case current_setting('synchronous_commit')
         when 'off' then 'local' else current_setting('synchronous_commit') end, true),
       set_config('plan_cache_mode', 'force_generic_plan', true)
  from zohosync.organizations o where o.org_id = %(org_id)s for no key update of o
