-- Promise: what is known now of the record's open intent is on its journal row; runs before the record
--   is settled (which forgets a closed intent), and only while the lease is ours.
-- Locks: the journal row.
-- Index: records_pkey, api_calls_pkey.
update zohosync.api_calls c
   set intent_state = case when c.intent_state = 'duplicate' and %(state)s = 'open' then 'duplicate'
                           else %(state)s end,
       absent_at = case when %(absent)s then zohosync.current_time() else c.absent_at end
  from zohosync.records r
 where r.org_id = %(org_id)s and r.kind = %(kind)s and r.key = %(key)s
   and r.lease_epoch = %(epoch)s and c.call_id = r.intent_id
returning c.call_id
