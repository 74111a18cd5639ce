-- Promise: what in Zoho may be one of these rows is noted with its record, which is made if need be:
--   while anything is, nothing is made for it. What is linked or under way is left alone.
-- Locks: the records, by key.
-- Index: records_pkey.
insert into zohosync.records as r (org_id, kind, key, priority, due_at, rivals, error_message)
select %(org_id)s, %(kind)s, h.key, 1, zohosync.current_time(), h.rivals, h.reason
  from jsonb_to_recordset(%(rows)s::jsonb) as h (key text, rivals text[], reason text)
 order by h.key
on conflict (org_id, kind, key) do update set rivals = excluded.rivals
 where r.zoho_id is null and r.rivals is distinct from excluded.rivals
