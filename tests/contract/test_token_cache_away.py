"""A database that is away is no reason to ask Zoho for a token."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from remote_kit import ACCOUNTS, HandClock, MemoryCache, RecordingGate, credentials
from zohosync.clock import Chance
from zohosync.errors import DatabaseUnavailableError
from zohosync.sandbox import Sandbox, SandboxLimits
from zohosync.zoho.tokens import Tokens


@dataclass
class AwayCache(MemoryCache):
    """The token cache of a database that is away now and then."""

    away: bool = False

    async def read(self, token_key: str) -> Mapping[str, Any] | None:
        if self.away:
            raise DatabaseUnavailableError("The database is away")
        return await super().read(token_key)


async def test_a_cache_that_cannot_be_read_costs_no_refresh() -> None:
    clock = HandClock()
    sandbox = Sandbox(clock=clock, chance=Chance(1), limits=SandboxLimits.lifted())
    cache = AwayCache(clock)
    tokens = Tokens(
        credentials(), cache=cache, gate=RecordingGate(clock), clock=clock, owner="w1",
        accounts_url=ACCOUNTS, transport=httpx2.ASGITransport(sandbox.app),
    )  # fmt: skip
    first = await tokens.token()
    cache.away = True
    clock.moment_s += 3_000.0
    assert await tokens.token() == first, "the one in hand lives"
    clock.moment_s += 400.0  # it is to be replaced, and nobody can say who does that
    for _ in range(20):
        with pytest.raises(DatabaseUnavailableError):
            await tokens.token()
    assert len(sandbox.ledger.requests) == 1
    cache.away = False
    assert (await tokens.token()).secret != first.secret
    assert len(sandbox.ledger.requests) == 2
    await tokens.aclose()
