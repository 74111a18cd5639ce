-- Promise: public.get_zoho_sync_health() is there unless it may not be made, or somebody else's stands in
--   its place; what was done.
-- Locks: none that anybody waits for.
-- Index: none.
select zohosync.offer_sync_health() as done
