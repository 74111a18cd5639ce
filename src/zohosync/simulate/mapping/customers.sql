-- Customers: test accounts are left out, closed ones are inactive.
select c.id as key,
       c.kind <> 'test' as eligible,
       case when c.closed then 'inactive' else 'active' end as state,
       c.name as display_name,
       c.email,
       c.phone,
       c.company_name,
       c.street as "billing_address.street",
       c.city as "billing_address.city"
  from public.people c
