-- Customers: one for each account, test accounts excluded.
select c.id as key,

       -- Not eligible is better than `where`: the row stays known, and `zohosync why customers
       -- KEY` can say that it is left out on purpose.
       c.account_type <> 'internal_test' as eligible,

       -- A suspended customer stays active in Zoho: an inactive one can be neither billed nor paid.
       case c.account_status when 'closed' then 'inactive' else 'active' end as state,

       -- Seeds the link of a customer that an earlier integration already made. It is looked up in
       -- Zoho before it is believed, and used on a live organisation only.
       c.zoho_billing_customer_id as zoho_id,

       coalesce(nullif(c.business_name, ''),
                nullif(concat_ws(' ', c.first_name, c.last_name), ''),
                c.email) as display_name,   -- two customers may share a name …
       c.email,                             -- … or an e-mail; but Zoho demands that there is one
       c.first_name,
       c.last_name,
       nullif(c.business_name, '') as company_name,
       c.phone

       -- A custom field has to exist in Zoho before it can be filled:
       -- , c.account_number as "custom_fields.Account number"
  from public.customers c
