-- Promise: whether anything of ours names this key.
-- Locks: none.
-- Index: records_pkey, sync_logs_record, api_calls_record, compared_key.
select exists (select from zohosync.records r
                where r.org_id = %(org_id)s and r.kind = %(kind)s and r.key = %(key)s)
    or exists (select from zohosync.sync_logs l
                where l.org_id = %(org_id)s and l.kind = %(kind)s and l.key = %(key)s)
    or exists (select from zohosync.api_calls c
                where c.org_id = %(org_id)s and c.kind = %(kind)s and c.key = %(key)s)
    or exists (select from zohosync.compared p
                where p.org_id = %(org_id)s and p.kind = %(kind)s and p.key = %(key)s) as known
