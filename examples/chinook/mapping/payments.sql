-- Payments: every invoice was paid in full, by card, on its day. Chinook has no table of payments,
-- so each is read from the invoice that it paid. Keys are counted for each kind apart: payment 7
-- and invoice 7 do not meet.
select i.invoice_id as key,
       i.customer_id as customer_key,
       i.total as amount,
       i.invoice_date::date as date,
       'creditcard' as payment_mode,
       'CHP-' || i.invoice_id as reference_number,   -- no other payment has it
       jsonb_build_array(jsonb_build_object(
           'invoice_key',    i.invoice_id,
           'amount_applied', i.total)) as invoices
  from public.invoice i
