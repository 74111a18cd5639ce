-- Plans: one without a price fails, rather than costing nothing.
select p.id as key,
       p.product_id as product_key,
       p.code as plan_code,
       p.name,
       p.price as recurring_price,
       1 as interval,
       'months' as interval_unit,
       -1 as billing_cycles,
       'VAT 15' as tax,
       case when p.active then 'active' else 'inactive' end as state
  from public.plans p
