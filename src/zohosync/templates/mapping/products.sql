-- Products: the families that plans belong to. One for each service type that we sell.
--
-- `key` must be a bare column: zohosync reads single records with `where key = …`, and Postgres
-- can use an index for that only when the column stands there as it is. A grouped column is one.
select p.service_type as key,
       case p.service_type
           when 'fibre'    then 'Fibre'
           when 'wireless' then 'Fixed wireless'
           when 'lte'      then 'LTE'
           when 'adsl'     then 'ADSL'
           when 'voip'     then 'Voice'
           else initcap(p.service_type)
       end as name
  from public.service_packages p
 group by p.service_type
