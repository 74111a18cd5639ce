-- Promise: what the production check wants to know of an organisation, in one row; the indexes are
--   those of the names that are missing or not valid.
-- Locks: none.
-- Index: organizations_pkey, api_calls_mints, sync_metrics_pkey.
select o.mode, o.time_zone, o.paused, o.paused_kinds, o.limits,
       zohosync.current_time() as now,
       ((zohosync.current_time() at time zone o.time_zone)::date - 1) as yesterday,
       (o.created_at at time zone o.time_zone)::date as first_day,
       pg_database_size(current_database())::int8 as size_bytes,
       (select count(*) from zohosync.sync_metrics f
         where f.org_id = o.org_id
           and f.metric_date = (zohosync.current_time() at time zone o.time_zone)::date - 1
       )::int as metrics,
       array(select n.name from unnest(%(indexes)s::text[]) as n (name)
              where not exists (select from pg_catalog.pg_index i
                                 where i.indexrelid = to_regclass('zohosync.' || n.name)
                                   and i.indisvalid and i.indisready)) as indexes,
       m.outcome as mint_outcome, m.code as mint_code, m.started_at as mint_at,
       (select count(*) from zohosync.api_calls c
         where c.org_id = o.org_id and c.code = '57'
           and c.started_at > zohosync.current_time() - interval '1 day')::int as refused
  from zohosync.organizations o
  left join lateral (select c.outcome, c.code, c.started_at from zohosync.api_calls c
                      where c.door = 'accounts' and c.mint_key = %(mint_key)s
                        and c.finished_at is not null
                      order by c.started_at desc limit 1) m on true
 where o.org_id = %(org_id)s
