-- Promise: the token that an old key sealed is gone, and so are those that ended a day ago; the act is
--   in the audit. A worker that still has the old key goes on with the token in its memory.
-- Locks: the rows that go, for this statement.
-- Index: token_cache_pkey.
with gone as (
  delete from zohosync.token_cache where token_key = %(token_key)s
), over as (
  delete from zohosync.token_cache
   where token_key <> %(token_key)s and expires_at < zohosync.current_time() - interval '1 day'
)
insert into zohosync.audit (act, why) values ('key rotated', 'upkeep --rotate-key')
