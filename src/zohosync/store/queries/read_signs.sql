-- Promise: the signs of life and of trouble of one organisation: how the attempts of the last `window_s`
--   ended (of the newest `newest` ones) and when the last did; what Zoho last answered, the newest first;
--   the token; leases that nobody looked after for `late_s`; records that wait for one that is not
--   there, and open writes of which there is no evidence or two results, among the first `look`; and how
--   long what may be claimed has been due in each lane.
-- Locks: none.
-- Index: sync_logs_pkey, api_calls_pkey, token_cache_pkey, records_leased, records_waiting,
--   records_intents, records_due, records_pkey (so much of each as is asked for, however large the book).
-- (Time stands in sub-selects of its own, else it is no index condition.)
with called as materialized (
  select c.org_id, c.call_id, c.door, c.outcome, c.status, c.code, c.finished_at
    from zohosync.api_calls c order by c.call_id desc limit 100
), waits as materialized (
  select r.kind, r.key, r.waiting_kind, r.waiting_key from zohosync.records r
   where r.org_id = %(org_id)s and r.waiting_kind is not null
   limit %(look)s
), lost as materialized (
  select w.kind, w.key from waits w
   where not exists (select from zohosync.records p
                      where p.org_id = %(org_id)s and p.kind = w.waiting_kind
                        and p.key = w.waiting_key)
), written as materialized (
  select r.kind, r.key, r.intent_id from zohosync.records r
   where r.org_id = %(org_id)s and r.intent_id is not null
   limit %(look)s
), evidence as materialized (
  select w.kind, w.key, c.call_id, c.intent_state
    from written w left join zohosync.api_calls c on c.call_id = w.intent_id
)
select a.*,
       array(select c.outcome from called c
              where c.org_id = o.org_id and c.door = 'api' and c.outcome <> 'closed'
              order by c.call_id desc limit 10) as answers,
       (select extract(epoch from zohosync.current_time() - c.finished_at)::float8 from called c
         where c.org_id = o.org_id and c.door = 'api' and c.outcome <> 'closed'
         order by c.call_id desc limit 1) as answered_s,
       (select c.outcome from called c
         where c.org_id = o.org_id and c.door = 'accounts' and c.outcome <> 'closed'
         order by c.call_id desc limit 1) as minted,
       (select extract(epoch from t.expires_at - zohosync.current_time())::float8
          from zohosync.token_cache t where t.token_key = %(token_key)s) as token_good_for_s,
       (select count(*) from (
          select from zohosync.records r
           where r.lease_until < (select zohosync.current_time() - make_interval(secs => %(late_s)s))
           limit 1000) e)::int as leases_expired,
       (select count(*) from lost)::int as orphans,
       (select min(l.kind || ' ' || l.key) from lost l) as orphan,
       (select count(*) from evidence e where e.call_id is null)::int as evidence_lost,
       (select count(*) from evidence e where e.intent_state = 'duplicate')::int as duplicates,
       (select min(e.kind || ' ' || e.key) from evidence e where e.intent_state = 'duplicate')
         as duplicate,
       array(select coalesce(extract(epoch from zohosync.current_time() - (
               select greatest(d.due_at, (o.lanes_closed ->> lane.priority::text)::timestamptz)
                 from zohosync.records d
                where d.org_id = o.org_id and d.priority = lane.priority
                  and d.due_at is not null and d.lease_until is null
                  and case when d.kind = any (o.paused_kinds || o.held_kinds) then false else true end
                order by d.due_at limit 1)), 0)::float8
               from unnest(%(priorities)s::smallint[]) with ordinality as lane (priority, place)
              order by lane.place) as overdue_s,
       exists (select from zohosync.marks) and o.active as marks
  from zohosync.organizations o,
       lateral (select count(*) filter (where e.lately and e.status = 'success')::int as succeeded,
                       count(*) filter (where e.lately and e.status = 'failed')::int as failed,
                       count(*) filter (where e.lately and e.status = 'retrying')::int as retried,
                       count(*) filter (where e.lately)::int as ended,
                       extract(epoch from zohosync.current_time() - max(e.created_at))::float8
                         as ended_s
                  from (select n.org_id, n.status, n.created_at, n.created_at >= (
                                 select zohosync.current_time() - make_interval(secs => %(window_s)s)
                               ) as lately
                          from (select l.org_id, l.status, l.created_at from zohosync.sync_logs l
                                 order by l.log_id desc limit %(newest)s) n) e
                 where e.org_id = o.org_id) a
 where o.org_id = %(org_id)s
