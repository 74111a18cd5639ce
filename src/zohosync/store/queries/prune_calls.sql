-- Promise: of the next calls after `after`, oldest first and whichever organisation's, those that ended
--   longer than `keep_days` ago are gone; never what a record names as its intent, nor the evidence of a
--   double. `last` is the last one looked at, `more` whether older ones may follow it.
-- Locks: the calls deleted (SKIP LOCKED).
-- Index: api_calls_pkey: the oldest stand in front, so one look at a few of them is enough.
with oldest as materialized (
  select call_id, deadline from zohosync.api_calls
   where call_id > %(after)s order by call_id limit %(limit)s
), cutoff as materialized (
  select zohosync.current_time() - make_interval(days => %(keep_days)s) as at
), old as materialized (
  select c.call_id from zohosync.api_calls c join oldest using (call_id)
   where c.deadline < (select at from cutoff)
     and c.intent_state is distinct from 'duplicate'
     and not exists (select from zohosync.records r
                      where r.org_id = c.org_id and r.kind = c.kind and r.key = c.key
                        and r.intent_id = c.call_id)
     for update of c skip locked
), gone as (
  delete from zohosync.api_calls c using old where c.call_id = old.call_id returning 1
)
select (select count(*) from gone)::int as gone, coalesce(max(call_id), %(after)s) as last,
       count(*) = %(limit)s and coalesce(bool_and(deadline < (select at from cutoff)), false) as more
  from oldest
