-- Promise: linked records whose fields the newest comparison saw differ in Zoho are known to be so: the
--   next attempt sends what the row says.
-- Locks: those records.
-- Index: comparisons_newest, compared_pkey.
with apart as materialized (
  select c.compared_id, c.key, c.zoho_id, c.differences, c.remote_state, m.finished_at as seen_at
    from zohosync.compared c join zohosync.comparisons m using (comparison_id)
   where c.comparison_id = (
           select n.comparison_id from zohosync.comparisons n
            where n.org_id = %(org_id)s and n.kind = %(kind)s and n.finished_at is not null
            order by n.comparison_id desc limit 1)
     and c.key is not null and c.linked and c.differences <> '{}'
), told as (
  update zohosync.records r
     set payload = (r.payload || (
           select coalesce(jsonb_object_agg(d.field, d.pair -> 1), '{}')
             from jsonb_each(a.differences) as d (field, pair)
            where r.payload ? d.field)) - array(
           select split_part(d.field, '.', 1) from jsonb_object_keys(a.differences) as d (field)
            where d.field like '%%.%%'),
         remote_state = case when coalesce(r.settled_at, '-infinity') <= a.seen_at
                             then coalesce(a.remote_state, r.remote_state) else r.remote_state end,
         accepted = '{}',
         hints = r.hints - 'kept_state'
    from apart a
   where r.org_id = %(org_id)s and r.kind = %(kind)s and r.key = a.key and r.zoho_id = a.zoho_id
     and r.lease_until is null and r.intent_id is null
  returning a.compared_id
)
update zohosync.compared c set differences = '{}', sort = 'linked'
  from told t where c.compared_id = t.compared_id
