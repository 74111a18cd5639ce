-- Invoices: one for each row of invoice, with its lines. The shop charges no tax.
select i.invoice_id as key,
       i.customer_id as customer_key,
       'open' as state,
       i.total,                                      -- compared, never sent
       'CH-' || i.invoice_id as invoice_number,
       i.invoice_date::date as date,
       i.invoice_date::date as due_date,
       (select jsonb_agg(jsonb_build_object(
                   'name',     left(t.name, 100),    -- some run on for 123 characters
                   'price',    l.unit_price,
                   'quantity', l.quantity)
                   order by l.invoice_line_id)
          from public.invoice_line l
          join public.track t on t.track_id = l.track_id
         where l.invoice_id = i.invoice_id) as invoice_items
  from public.invoice i
