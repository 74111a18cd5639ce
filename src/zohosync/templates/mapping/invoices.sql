-- Invoices: those that Zoho raises from subscriptions, and those that we raise.
select i.id as key,

       c.account_type <> 'internal_test' as eligible,
       -- History cut-off. Recurring invoices from before the subscription was in Zoho do not exist
       -- there and never will: leave them out, or let us raise them.
       --   and (i.invoice_type <> 'recurring' or i.invoice_date >= date '2026-01-01')

       -- Who raises it. Zoho raises an invoice for each subscription by itself; pushing the same
       -- one would bill twice. 'zoho': looked for and linked, so that payments can be applied.
       -- 'us': created under our number.
       case i.invoice_type when 'recurring' then 'zoho' else 'us' end as raised_by,

       -- Paid, partial and overdue are what Zoho works out from payments and dates: to us all of
       -- them are open.
       case i.status
           when 'draft'     then 'draft'
           when 'cancelled' then 'void'
           when 'voided'    then 'void'
           else 'open'
       end as state,

       i.zoho_billing_invoice_id as zoho_id,

       i.customer_id as customer_key,
       -- Only an invoice that Zoho raises hangs on its subscription.
       case i.invoice_type when 'recurring' then i.service_id end as subscription_key,

       i.invoice_number,
       i.invoice_date as date,
       i.due_date,

       -- Never sent: what the invoice must come to. One that Zoho computes differently is not
       -- opened; it fails with both totals shown.
       i.total_amount as total,

       -- Our prices are without VAT; each line names its tax and Zoho adds it.
       false as is_inclusive_tax,
       (select jsonb_agg(jsonb_build_object(
                   'name',     l.item ->> 'description',
                   'quantity', l.item -> 'quantity',
                   'price',    l.item -> 'unit_price',
                   'tax',      case when i.vat_rate > 0 then 'VAT ' || trim_scale(i.vat_rate) end)
                   order by l.position)
          from jsonb_array_elements(i.line_items) with ordinality as l (item, position)
       ) as invoice_items
  from public.customer_invoices i
  join public.customers c on c.id = i.customer_id
