-- Promise: these alerts are remembered as they are given; what a process reports of them stays.
-- Locks: those rows.
-- Index: alerts_pkey.
insert into zohosync.alerts as a (org_id, fingerprint, topic, kind, grave, title, body, command, over,
  example_kind, example_key, records, level, since, first_seen, last_seen, gone_since, resolved_at,
  told_at, told_records, told_level, told_grave, held, episodes)
select %(org_id)s, n.fingerprint, n.topic, n.kind, n.grave, n.title, n.body, n.command, n.over,
       n.example_kind, n.example_key, n.records, n.level, n.since, n.first_seen, n.last_seen,
       n.gone_since, n.resolved_at, n.told_at, n.told_records, n.told_level, n.told_grave, n.held,
       n.episodes
  from jsonb_populate_recordset(null::zohosync.alerts, %(rows)s::jsonb) n
 order by n.fingerprint
on conflict (org_id, fingerprint) do update
   set topic = excluded.topic, kind = excluded.kind, grave = excluded.grave, title = excluded.title,
       body = excluded.body, command = excluded.command, over = excluded.over,
       example_kind = excluded.example_kind, example_key = excluded.example_key,
       records = excluded.records, level = excluded.level, since = excluded.since,
       first_seen = excluded.first_seen, last_seen = excluded.last_seen,
       gone_since = excluded.gone_since, resolved_at = excluded.resolved_at,
       told_at = excluded.told_at, told_records = excluded.told_records,
       told_level = excluded.told_level, told_grave = excluded.told_grave, held = excluded.held,
       episodes = excluded.episodes
