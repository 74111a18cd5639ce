-- Promise: records that were held for something in Zoho that the comparison does not find any more, or
--   that are linked, are held no longer; failed ones are tried again.
-- Locks: those records.
-- Index: records_pkey, compared_key.
update zohosync.records r
   set rivals = '{}',
       status = case when r.status = 'failed' and r.zoho_id is null then 'pending' else r.status end,
       due_at = case when r.status = 'failed' and r.zoho_id is null then zohosync.current_time()
                     else r.due_at end
 where r.org_id = %(org_id)s and r.kind = %(kind)s and r.rivals <> '{}'
   and (r.zoho_id is not null or not exists (
     select from zohosync.compared c
      where c.org_id = r.org_id and c.kind = r.kind and c.key = r.key
        and c.comparison_id = %(comparison_id)s and not c.linked
        and (c.zoho_id is not null or c.candidates <> '{}')))
