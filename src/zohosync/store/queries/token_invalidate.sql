-- End the life of exactly this token (as encrypted); one that was minted since stays.
-- Locks the token's row, for this statement. Index: token_cache_pkey.
update zohosync.token_cache
   set expires_at = zohosync.current_time(),
       updated_at = zohosync.current_time()
 where token_key = %(token_key)s
   and access_token = %(access_token)s
   and expires_at > zohosync.current_time()
