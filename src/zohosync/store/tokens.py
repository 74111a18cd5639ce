"""The token cache: one access token that all processes share, encrypted before it comes here."""

from collections.abc import Mapping
from typing import Any

from zohosync.store.database import Database


class TokenCache:
    """The table `token_cache`; every instant in it is the database's. All raise DatabaseError."""

    def __init__(self, database: Database) -> None:
        """It spans organisations: a token belongs to a client's credentials."""
        self._database = database

    async def read(self, token_key: str) -> Mapping[str, Any] | None:
        """`access_token` (encrypted), `api_domain` and `good_for_s`, the seconds that it lives."""
        return await self._database.fetch_one("token_read", token_key=token_key)

    async def lease(self, token_key: str, by: str, *, lease_s: float, fresh_s: float) -> bool:
        """Take, or extend, the sole right to refresh for `lease_s` seconds.

        False when another process holds it, or the token lives for more than `fresh_s` seconds.
        """
        row = await self._database.fetch_one(
            "token_lease", token_key=token_key, by=by, lease_s=lease_s, fresh_s=fresh_s
        )
        return row is not None

    async def save(
        self, token_key: str, by: str, *, access_token: str, api_domain: str, good_for_s: float
    ) -> None:
        """Keep a new token for `good_for_s` seconds; whoever holds the lease, it ends."""
        del by
        await self._database.execute(
            "token_save",
            token_key=token_key,
            access_token=access_token,
            api_domain=api_domain,
            good_for_s=good_for_s,
        )

    async def release(self, token_key: str, by: str) -> None:
        """End the lease of `by` without a new token."""
        await self._database.execute("token_release", token_key=token_key, by=by)

    async def invalidate(self, token_key: str, access_token: str) -> None:
        """End the life of exactly this token (as encrypted); a newer one stays."""
        await self._database.execute(
            "token_invalidate", token_key=token_key, access_token=access_token
        )

    async def rotate(self, old_token_key: str) -> None:
        """Forget what an old key sealed, and what ended long ago; noted in the audit."""
        await self._database.execute("token_rotate", token_key=old_token_key)
