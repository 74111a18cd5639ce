-- Promise: nothing is kept of any list of the organisation: the next question reads it. Returns what was.
-- Locks: the lists' rows.
-- Index: org_data_cache_pkey.
delete from zohosync.org_data_cache where org_id = %(org_id)s
returning cache_key as kind
