-- Promise: which of these Zoho ids a reply named as a record's child (its hint), and whose.
-- Locks: none.
-- Index: records_promised.
select r.hints ->> 'child_invoice_id' as zoho_id, r.kind, r.key
  from zohosync.records r
 where r.org_id = %(org_id)s
   and r.hints ->> 'child_invoice_id' = any (%(zoho_ids)s::text[])
