-- Products.
select p.id as key,
       p.name,
       case when p.active then 'active' else 'inactive' end as state
  from public.products p
