-- Subscriptions: one for each service of a customer that has been switched on.
select s.id as key,

       -- A pending service is not a subscription yet; it becomes one when it is activated.
       -- Cancelled ones stay eligible, so that the cancellation reaches Zoho. One that was over
       -- before it ever was in Zoho is not created there: no invoice is raised for the past.
       c.account_type <> 'internal_test' and s.status <> 'pending' as eligible,

       -- A suspended service stays live: Zoho Billing's API cannot pause, and the contract runs on.
       case s.status when 'cancelled' then 'cancelled' else 'live' end as state,

       s.zoho_subscription_id as zoho_id,   -- a seed, as in customers.sql

       s.customer_id as customer_key,       -- the key of customers.sql
       s.package_id as plan_key,            -- the key of plans.sql; zohosync sends its plan_code
       1 as "plan.quantity",                -- a dotted name nests: {"plan": {"quantity": 1, …}}

       -- What this customer agreed to pay. Without a price of its own the service follows the
       -- package, and so a change of the package's price reaches it.
       coalesce(s.monthly_price, p.price) as "plan.price",

       s.activation_date as starts_at,

       -- Zoho raises the invoice of the current month although the start lies behind us.
       -- invoices.sql links that invoice; it never makes a second one.
       true as create_backdated_invoice
  from public.customer_services s
  join public.customers c on c.id = s.customer_id
  left join public.service_packages p on p.id = s.package_id
