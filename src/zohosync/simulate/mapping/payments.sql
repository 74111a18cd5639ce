-- Payments: money that has arrived, spread over one or more bills of one person.
select r.id as key,
       c.kind <> 'test' and r.status in ('completed', 'refunded') as eligible,
       case r.status when 'refunded' then 'reversed' else 'paid' end as state,
       r.person_id as customer_key,
       r.amount,
       (r.at at time zone 'Africa/Johannesburg')::date as date,
       case r.method
           when 'card'   then 'creditcard'
           when 'eft'    then 'banktransfer'
           when 'cash'   then 'cash'
           when 'cheque' then 'check'
           else 'others'
       end as payment_mode,
       r.reference as reference_number,
       r.note as description,
       (select jsonb_agg(jsonb_build_object('invoice_key', a.bill_id, 'amount_applied', a.amount)
                         order by a.bill_id)
          from public.receipt_parts a
         where a.receipt_id = r.id
       ) as invoices
  from public.receipts r
  join public.people c on c.id = r.person_id
