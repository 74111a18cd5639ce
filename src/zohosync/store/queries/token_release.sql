-- End a process's own lease on the refresh of a token; nobody else's.
-- Locks the token's row, for this statement. Index: token_cache_pkey.
update zohosync.token_cache
   set refreshing_until = null,
       refreshing_by    = null,
       updated_at       = zohosync.current_time()
 where token_key = %(token_key)s
   and refreshing_by = %(by)s
