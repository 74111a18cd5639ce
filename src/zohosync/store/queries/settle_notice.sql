-- Promise: these channels have taken the notice, and it is done when none is left; else it is tried again
--   after a pause, for as long as anybody would care.
-- Locks: that row.
-- Index: notices_pkey.
update zohosync.notices n
   set pending = array(select p from unnest(n.pending) p where p <> all (%(taken)s::text[])),
       error = %(error)s, sending_by = null, sending_until = null,
       try_at = zohosync.current_time() + make_interval(secs => %(retry_s)s),
       done_at = case when n.pending <@ %(taken)s::text[]
                        or n.made_at < zohosync.current_time() - make_interval(secs => %(keep_s)s)
                      then zohosync.current_time() end
 where n.notice_id = %(notice_id)s and n.sending_by = %(worker)s and n.tries = %(tries)s
