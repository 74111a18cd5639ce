-- Promise: the organisation is known, with the mode, time zone and limits in force, and is the active one;
--   a new organisation that is not the sandbox starts with every kind paused (D14).
-- Locks: the organisations' rows.
-- Index: organizations_pkey.
with others as (
  update zohosync.organizations set active = false where active and org_id <> %(org_id)s
  returning org_id
)
insert into zohosync.organizations as o (org_id, data_center, mode, name, time_zone, currency_code,
  limits, active, kinds, paused_kinds)
select %(org_id)s, %(data_center)s, %(mode)s, %(name)s, %(time_zone)s, %(currency_code)s,
  %(limits)s::jsonb, true, %(kinds)s::text[], case when %(mode)s = 'sandbox' then '{}' else %(kinds)s::text[] end
  from (select count(*) from others) as done
on conflict (org_id) do update
   set data_center = excluded.data_center, time_zone = excluded.time_zone,
       currency_code = excluded.currency_code, limits = excluded.limits, active = true,
       kinds = excluded.kinds,
       lanes_closed = case when o.limits <> excluded.limits then '{}' else o.lanes_closed end,
       closed_until = case  -- a raised limit opens what the old one had closed
         when o.limits <> excluded.limits and o.closed_reason = %(day_spent)s then null
         else o.closed_until end
returning o.org_id, o.mode, o.paused, o.paused_kinds
