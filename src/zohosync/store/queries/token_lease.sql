-- Give one process the sole right to refresh a token, or extend its own: one row back means yes.
-- No row: another process holds it, or the token still lives for more than fresh_s.
-- Locks the token's row, for this statement. Index: token_cache_pkey.
insert into zohosync.token_cache as kept
       (token_key, refreshing_until, refreshing_by, updated_at)
values (%(token_key)s,
        zohosync.current_time() + make_interval(secs => %(lease_s)s),
        %(by)s,
        zohosync.current_time())
on conflict (token_key) do update
   set refreshing_until = excluded.refreshing_until,
       refreshing_by    = excluded.refreshing_by,
       updated_at       = excluded.updated_at
 where (kept.refreshing_until is null
        or kept.refreshing_until <= zohosync.current_time()
        or kept.refreshing_by = excluded.refreshing_by)
   and (kept.expires_at is null
        or kept.expires_at <= zohosync.current_time() + make_interval(secs => %(fresh_s)s))
returning token_key
