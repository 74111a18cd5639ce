-- Promise: the organisation's row, with the seconds that it stays closed.
-- Locks: none.
-- Index: organizations_pkey.
select o.*, extract(epoch from o.closed_until - zohosync.current_time())::float8 as closed_for_s,
       case when o.day = (zohosync.current_time() at time zone o.time_zone)::date
            then o.day_calls else 0 end as calls_today,
       zohosync.current_time() as now
  from zohosync.organizations o where o.org_id = %(org_id)s
