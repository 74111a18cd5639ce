-- Promise: whose turn it is to sweep: one process at a time, once a night of the organisation's own time
--   zone, and for a kind that is held with the mapping that we have; `taken` says that it is ours, for
--   as long as the lease runs and we are alive. `held` are those kinds, `others` kinds of which another process has another
--   mapping than we.
-- Locks: the organisation's row, where it is our turn.
-- Index: organizations_pkey, workers_pkey.
with seen as materialized (
  select o.org_id, o.active, b.now,
         ((case when l.local::time >= %(at)s::time then l.local::date else l.local::date - 1 end)
            + %(at)s::time) at time zone o.time_zone as night_at,
         array(select k from unnest(o.held_kinds) k
                where o.mappings ->> k = %(mappings)s::jsonb ->> k) as held,
         array(select m.key from jsonb_each_text(o.mappings) m
                where m.value <> %(mappings)s::jsonb ->> m.key order by m.key) as others
    from zohosync.organizations o, (select zohosync.current_time() as now) b,
         lateral (select b.now at time zone o.time_zone as local) l
   where o.org_id = %(org_id)s
), taken as (
  update zohosync.organizations o
     set sweeper = %(worker)s, sweep_until = seen.now + make_interval(secs => %(lease_s)s)
    from seen
   where o.org_id = seen.org_id and seen.active
     and (coalesce(o.swept_at, o.created_at) < seen.night_at or cardinality(seen.held) > 0)
     and (o.sweep_until is null or o.sweep_until <= seen.now or o.sweeper = %(worker)s
          or not exists (select from zohosync.workers w
                          where w.worker = o.sweeper
                            and w.heartbeat_at > seen.now - make_interval(secs => %(alive_s)s)))
  returning coalesce(o.swept_at, o.created_at) < seen.night_at as night
)
select seen.held, seen.others, t.night is not null as taken, coalesce(t.night, false) as night
  from seen left join taken t on true
