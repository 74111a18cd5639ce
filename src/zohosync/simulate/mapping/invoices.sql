-- Invoices: the recurring ones are raised by Zoho and only found there, the others are ours.
select b.id as key,
       c.kind <> 'test' as eligible,
       case b.type when 'recurring' then 'zoho' else 'us' end as raised_by,
       case b.status when 'draft' then 'draft' when 'voided' then 'void' else 'open' end as state,
       b.person_id as customer_key,
       case b.type when 'recurring' then b.service_id end as subscription_key,
       b.number as invoice_number,
       b.issued as date,
       b.due as due_date,
       b.terms,
       b.total,
       false as is_inclusive_tax,
       (select jsonb_agg(jsonb_build_object(
                   'name',     l.line ->> 'name',
                   'quantity', l.line -> 'quantity',
                   'price',    l.line -> 'unit_price',
                   'tax',      case when b.vat_rate > 0 then 'VAT ' || trim_scale(b.vat_rate) end)
                   order by l.position)
          from jsonb_array_elements(b.lines) with ordinality as l (line, position)
       ) as invoice_items
  from public.bills b
  join public.people c on c.id = b.person_id
