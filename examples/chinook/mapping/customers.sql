-- Customers: one for each row of customer.
select c.customer_id as key,
       c.first_name || ' ' || c.last_name as display_name,
       c.email,
       c.first_name,
       c.last_name,
       c.company as company_name,
       c.phone,
       c.address as "billing_address.street",
       c.city as "billing_address.city",
       c.state as "billing_address.state",
       c.postal_code as "billing_address.zip",
       c.country as "billing_address.country",
       c.fax as "billing_address.fax"
  from public.customer c
