-- Promise: the organisation is known, with the mode, time zone and limits in force, and a new one that is
--   not the sandbox starts with every kind paused (D14). It becomes the active one where there is no other,
--   else only when it is `sure`: the sandbox, or Zoho has just confirmed id and mode. Until Zoho has done
--   so once, the mode may be corrected.
-- Locks: the organisations' rows.
-- Index: organizations_pkey.
with others as (
  update zohosync.organizations set active = false
   where active and org_id <> %(org_id)s and %(sure)s
  returning org_id
), taken as (
  select exists (select from zohosync.organizations where active and org_id <> %(org_id)s)
         and not %(sure)s as taken
)
insert into zohosync.organizations as o (org_id, data_center, mode, name, time_zone, currency_code,
  limits, active, kinds, paused_kinds, confirmed_at)
select %(org_id)s, %(data_center)s, %(mode)s, %(name)s, %(time_zone)s, %(currency_code)s,
  %(limits)s::jsonb, not taken, %(kinds)s::text[],
  case when %(mode)s = 'sandbox' then '{}' else %(kinds)s::text[] end,
  case when %(sure)s then zohosync.current_time() end
  from (select count(*) from others) as done, taken  -- the other one first: one is active at a time
on conflict (org_id) do update
   set data_center = excluded.data_center, time_zone = excluded.time_zone,
       currency_code = excluded.currency_code, limits = excluded.limits,
       active = o.active or excluded.active, kinds = excluded.kinds,
       mode = case when o.confirmed_at is null then excluded.mode else o.mode end,
       confirmed_at = coalesce(o.confirmed_at, excluded.confirmed_at),
       lanes_closed = case when o.limits <> excluded.limits then '{}' else o.lanes_closed end,
       closed_until = case  -- a raised limit opens what the old one had closed
         when o.limits <> excluded.limits and o.closed_reason = %(day_spent)s then null
         else o.closed_until end
returning o.org_id, o.mode, o.active, o.paused, o.paused_kinds
