-- Promise: the watch is no longer on record.
-- Locks: the watch's row.
-- Index: watches_pkey.
delete from zohosync.watches where watch = %(watch)s
