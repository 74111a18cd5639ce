-- Promise: of the oldest calls those that ended longer than `keep_days` ago are gone; never the intent
--   of a record, open or kept as evidence of a double, which outlives every limit.
-- Locks: the calls deleted (SKIP LOCKED).
-- Index: api_calls_pkey: the oldest stand in front, so one look at a few of them is enough.
with oldest as materialized (
  select call_id from zohosync.api_calls order by call_id limit %(limit)s for update skip locked
)
delete from zohosync.api_calls c using oldest
 where c.call_id = oldest.call_id
   and c.deadline < zohosync.current_time() - make_interval(days => %(keep_days)s)
   and coalesce(c.intent_state, 'closed') = 'closed'
   and not exists (select from zohosync.records r
                    where r.org_id = c.org_id and r.kind = c.kind and r.key = c.key
                      and r.intent_id = c.call_id)
