-- Keep a token just minted, by the database's clock, and end the lease on its refresh.
-- Locks the token's row, for this statement. Index: token_cache_pkey.
insert into zohosync.token_cache
       (token_key, access_token, api_domain, expires_at, updated_at)
values (%(token_key)s,
        %(access_token)s,
        %(api_domain)s,
        zohosync.current_time() + make_interval(secs => %(good_for_s)s),
        zohosync.current_time())
on conflict (token_key) do update
   set access_token     = excluded.access_token,
       api_domain       = excluded.api_domain,
       expires_at       = excluded.expires_at,
       refreshing_until = null,
       refreshing_by    = null,
       updated_at       = excluded.updated_at
