-- The shared access token (as encrypted) and how many seconds it still lives.
-- Locks nothing. Index: token_cache_pkey.
select access_token,
       api_domain,
       coalesce(extract(epoch from expires_at - zohosync.current_time()), 0)::float8 as good_for_s
  from zohosync.token_cache
 where token_key = %(token_key)s
