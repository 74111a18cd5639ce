-- Promise: of each call that would end a record: how many records of its kind were ended within the
--   window, calls under way included and those left out that sent not one byte; whether it is one of
--   them; whether a person let it through and it has not been done since; whether its kind is paused.
-- Locks: none of its own (the organisation's row is held).
-- Index: api_calls_endings, api_calls_record, let_through_pkey.
select w.place, w.kind, w.key, coalesce(l.lately, 0)::int as lately,
       w.key = any (coalesce(l.keys, '{}')) as counted,
       exists (
         select from zohosync.let_through t
          where t.org_id = o.org_id and t.kind = w.kind and t.key = w.key
            and not exists (
              select from zohosync.api_calls c
               where c.org_id = t.org_id and c.kind = t.kind and c.key = t.key and c.ends
                 and c.started_at >= t.since and c.outcome = 'accepted')) as let_through,
       w.kind = any (o.paused_kinds) as paused
  from zohosync.organizations o,
       lateral unnest(%(places)s::integer[], %(kinds)s::text[], %(keys)s::text[])
         as w (place, kind, key)
  left join lateral (
    select n.kind, count(distinct c.key) as lately, array_agg(distinct c.key) as keys
      from (select distinct k as kind from unnest(%(kinds)s::text[]) k) n
      join zohosync.api_calls c on c.org_id = %(org_id)s and c.kind = n.kind and c.ends
       and c.started_at > (select zohosync.current_time() - make_interval(secs => %(window_s)s))
       and c.sent is not false
     group by n.kind) l on l.kind = w.kind
 where o.org_id = %(org_id)s
 order by w.place
