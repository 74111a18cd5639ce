-- Whose child a reply said an invoice to be, so that no other subscription's bill is linked to it.
create index records_promised on zohosync.records (org_id, (hints ->> 'child_invoice_id'))
  where hints ->> 'child_invoice_id' is not null;
