-- Plans: what a customer can subscribe to. One for each package.
select p.id as key,
       p.service_type as product_key,       -- the product it belongs to: the key of products.sql
       p.sku as plan_code,                  -- how Zoho knows the plan; fixed once it is there
       p.name,
       p.description,
       case when p.active then 'active' else 'inactive' end as state,
       p.price as recurring_price,          -- without VAT. A package without a price fails,
                                            -- rather than becoming a plan that costs nothing
       1 as interval,
       'months' as interval_unit,
       -1 as billing_cycles,                -- until cancelled (0 is refused)
       'VAT 15' as tax                      -- the name of a tax in Zoho → Settings → Taxes
  from public.service_packages p
-- No setup_fee: installation is an invoice that we raise (invoices.sql). Here it would be billed
-- a second time.
