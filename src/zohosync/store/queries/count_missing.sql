-- Promise: how many linked records Zoho turned out to have lost within the last `window_s` seconds.
-- Locks: none.
-- Index: sync_logs_created.
select count(distinct (l.kind, l.key))::int as missing
  from zohosync.sync_logs l
 where l.org_id = %(org_id)s and l.status = 'failed' and l.error_class = 'not_found'
   and l.zoho_entity_id is not null
   and l.created_at > (select zohosync.current_time()) - make_interval(secs => %(window_s)s)
