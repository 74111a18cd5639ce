-- Subscriptions: one for each service that has been switched on. A service of somebody whose row
-- is gone is gone with it; one without a price of its own follows its plan.
select s.id as key,
       c.kind <> 'test' and s.status <> 'pending' as eligible,
       case s.status when 'cancelled' then 'cancelled' else 'live' end as state,
       s.person_id as customer_key,
       s.plan_id as plan_key,
       s.quantity as "plan.quantity",
       coalesce(s.price, p.price) as "plan.price",
       s.starts as starts_at,
       true as create_backdated_invoice
  from public.services s
  join public.people c on c.id = s.person_id
  left join public.plans p on p.id = s.plan_id
