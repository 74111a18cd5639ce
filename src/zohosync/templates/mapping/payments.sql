-- Payments: money that has arrived, each applied to its invoice.
select p.id as key,

       -- Pending and failed payments are no payments. A refunded one stays eligible: when it is in
       -- Zoho already, a person has to refund it there, and zohosync says so. It never refunds.
       -- (Without an invoice the account is not known, and the row fails further down.)
       coalesce(c.account_type, '') <> 'internal_test'
           and p.status in ('completed', 'refunded') as eligible,
       case p.status when 'refunded' then 'reversed' else 'paid' end as state,

       p.zoho_payment_id as zoho_id,

       -- Zoho applies money only to invoices of the customer who paid, so the invoice's customer
       -- is the one to name.
       i.customer_id as customer_key,

       p.amount,

       -- An instant becomes a day in the organisation's time zone, not in the database's.
       (coalesce(p.completed_at, p.created_at) at time zone 'Africa/Johannesburg')::date as date,

       -- Zoho's codes, not its labels.
       case p.payment_method
           when 'credit_card'   then 'creditcard'
           when 'debit_card'    then 'creditcard'
           when 'eft'           then 'banktransfer'
           when 'bank_transfer' then 'banktransfer'
           when 'debit_order'   then 'banktransfer'
           when 'cash'          then 'cash'
           when 'cheque'        then 'check'
           else 'others'
       end as payment_mode,

       -- Ours, and unique: by it a payment is found again when Zoho's reply was lost.
       p.transaction_id as reference_number,
       p.reference as description,

       -- A list is one jsonb column. invoice_key is the key of invoices.sql.
       jsonb_build_array(jsonb_build_object(
           'invoice_key', p.customer_invoice_id,
           'amount_applied', p.amount)) as invoices
  from public.payment_transactions p
  left join public.customer_invoices i on i.id = p.customer_invoice_id
  left join public.customers c on c.id = i.customer_id
