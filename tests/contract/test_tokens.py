"""Access tokens: one refresh an hour for everybody, none for a storm, and no secret anywhere."""

import asyncio
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from cryptography.fernet import Fernet
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from remote_kit import HandClock, MemoryCache, RecordingGate, credentials, line
from zohosync.clock import Chance
from zohosync.core.replies import Closed, Found, Throttled, Unauthorized, Unreachable
from zohosync.sandbox import Fault, Faults, Sandbox, SandboxLimits
from zohosync.store.database import Database
from zohosync.store.tokens import TokenCache
from zohosync.zoho.client import Remote
from zohosync.zoho.sealing import cipher_of
from zohosync.zoho.tokens import (
    Credentials,
    NoTokenError,
    Secret,
    Tokens,
)

ACCOUNTS = "http://accounts.test"


def sandbox_on(clock: HandClock, **settings: Any) -> Sandbox:
    settings.setdefault("limits", SandboxLimits.lifted())
    return Sandbox(clock=clock, chance=Chance(1), **settings)


def tokens_on(
    sandbox: Sandbox,
    cache: Any,
    clock: HandClock,
    *,
    gate: RecordingGate | None = None,
    owner: str = "w1",
    client: Credentials | None = None,
    secret_key: Secret | None = None,
    ttl_s: float = 86_400.0,
) -> Tokens:
    return Tokens(
        client or credentials(), cache=cache, gate=gate or RecordingGate(clock), clock=clock,
        owner=owner, accounts_url=ACCOUNTS, transport=httpx2.ASGITransport(sandbox.app),
        secret_key=secret_key, ttl_s=ttl_s,
    )  # fmt: skip


async def minted(sandbox: Sandbox) -> int:
    """How often the accounts server was asked."""
    return sum(1 for entry in sandbox.ledger.requests if "oauth" in entry.path)


async def test_a_hundred_callers_cost_one_refresh() -> None:
    clock = HandClock()
    sandbox = sandbox_on(clock)
    tokens = tokens_on(sandbox, MemoryCache(clock), clock)
    found = await asyncio.gather(*[tokens.token() for _ in range(100)])
    assert len({token.secret for token in found}) == 1
    assert await minted(sandbox) == 1
    await tokens.aclose()


async def test_a_token_is_replaced_five_minutes_before_it_ends() -> None:
    clock = HandClock()
    sandbox = sandbox_on(clock)
    tokens = tokens_on(sandbox, MemoryCache(clock), clock)
    first = await tokens.token()
    clock.moment_s += 3_299.0
    assert await tokens.token() == first
    clock.moment_s += 2.0
    second = await tokens.token()
    assert second.secret != first.secret
    assert await minted(sandbox) == 2
    await tokens.aclose()


async def test_a_token_is_renewed_sooner_where_it_is_to_be_kept_for_less_long() -> None:
    clock = HandClock()
    sandbox, cache = sandbox_on(clock), MemoryCache(clock)
    tokens = tokens_on(sandbox, cache, clock, ttl_s=900.0)
    first = await tokens.token()
    clock.moment_s += 599.0
    assert await tokens.token() == first
    clock.moment_s += 2.0
    assert (await tokens.token()).secret != first.secret
    await tokens.aclose()


async def test_a_mint_passes_the_gate_at_its_own_door() -> None:
    async with line() as on:
        await on.tokens.token()
        (call,) = on.gate.calls
        assert (call.door, call.operation, call.method) == ("accounts", "token", "POST")
        assert isinstance(on.gate.ends[0].reply, Found)
        assert on.sandbox.client_secret not in repr(on.gate)


async def test_the_address_of_the_api_comes_with_the_token() -> None:
    clock = HandClock()
    sandbox = sandbox_on(clock)
    tokens = tokens_on(sandbox, MemoryCache(clock), clock)
    assert (await tokens.token()).api_domain == ACCOUNTS
    remote = Remote(
        gate=RecordingGate(clock), tokens=tokens, clock=clock, organization_id="10001",
        transport=httpx2.ASGITransport(sandbox.app),
    )  # fmt: skip
    assert isinstance(await remote.probe(), Found)
    await remote.aclose()
    await tokens.aclose()


async def test_a_revoked_refresh_token_is_told_apart_from_trouble() -> None:
    async with line() as on:
        on.sandbox.tokens.revoke()
        with pytest.raises(NoTokenError) as failed:
            await on.tokens.token()
        assert isinstance(failed.value.reply, Unauthorized)
        assert isinstance(on.gate.ends[-1].reply, Unauthorized)
        on.sandbox.set_faults(Faults([Fault("html", "POST /oauth/*")]))
        with pytest.raises(NoTokenError) as failed:
            await on.tokens.token()
        assert isinstance(failed.value.reply, Unreachable)
        assert not failed.value.reply.sent


async def test_too_many_mints_close_the_door_and_are_no_fault_of_the_record() -> None:
    limits = replace(SandboxLimits.lifted(), mints_per_10_min=1)
    async with line(limits=limits) as on:
        await on.tokens.reject(await on.tokens.token())
        with pytest.raises(NoTokenError) as failed:
            await on.tokens.token()
        assert isinstance(failed.value.reply, Closed)
        assert failed.value.reply.retry_in_s >= 600.0
        end = on.gate.ends[-1].reply
        assert isinstance(end, Throttled)
        assert end.code == "token"


async def test_a_rejected_token_is_not_handed_out_again() -> None:
    async with line() as on:
        first = await on.tokens.token()
        await on.tokens.reject(first)
        second = await on.tokens.token()
        assert second.secret != first.secret
        await on.tokens.reject(first)  # a late 401 of the old one
        assert (await on.tokens.token()).secret == second.secret
        assert on.gate.operations() == ["token", "token"]


async def test_a_token_that_lives_shortly_is_still_used() -> None:
    async def answer(_: Request) -> Response:
        return JSONResponse({"access_token": "a", "expires_in": 120})

    app = Starlette(routes=[Route("/{path:path}", answer, methods=["POST"])])
    async with line(transport=httpx2.ASGITransport(app)) as on:
        for _ in range(5):
            await on.tokens.token()
        assert on.gate.operations() == ["token"]


# ------------------------------------------------------------------ the cache, on Postgres


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


async def test_four_processes_cost_one_refresh_an_hour(
    any_database_url: str, clock: HandClock
) -> None:
    sandbox = sandbox_on(clock)
    databases = [await Database.open(any_database_url, now=clock.now) for _ in range(4)]
    fleet = [
        tokens_on(sandbox, TokenCache(database), clock, owner=f"w{number}")
        for number, database in enumerate(databases)
    ]
    for hour in range(1, 4):
        for _ in range(50):
            found = await asyncio.gather(*[tokens.token() for tokens in fleet])
            clock.moment_s += 66.0
        assert await minted(sandbox) == hour
        assert len({token.secret for token in found}) == 1
    for tokens in fleet:
        await tokens.aclose()
    for database in databases:
        await database.close()


async def test_who_does_not_refresh_uses_the_old_token_until_it_ends(
    database_url: str, clock: HandClock
) -> None:
    database = await Database.open(database_url, now=clock.now)
    sandbox, cache = sandbox_on(clock), TokenCache(database)
    first, second = (tokens_on(sandbox, cache, clock, owner=name) for name in ("w1", "w2"))
    old = await first.token()
    assert (await second.token()).secret == old.secret
    clock.moment_s += 3_400.0
    key = credentials().token_key()
    assert await cache.lease(key, "w1", lease_s=45.0, fresh_s=300.0)
    assert (await second.token()).secret == old.secret
    assert await minted(sandbox) == 1
    clock.moment_s += 50.0  # w1 died: its lease ended
    assert (await second.token()).secret != old.secret
    for tokens in (first, second):
        await tokens.aclose()
    await database.close()


async def test_who_has_no_token_waits_for_another_ones_refresh(
    database_url: str, clock: HandClock
) -> None:
    database = await Database.open(database_url, now=clock.now)
    sandbox, cache = sandbox_on(clock), TokenCache(database)
    waiting = tokens_on(sandbox, cache, clock, owner="w2")
    key = credentials().token_key()
    assert await cache.lease(key, "w1", lease_s=1e6, fresh_s=300.0)
    with pytest.raises(NoTokenError) as failed:
        await waiting.token()
    assert isinstance(failed.value.reply, Closed)
    assert await minted(sandbox) == 0
    await cache.release(key, "w2")
    assert not await cache.lease(key, "w2", lease_s=1.0, fresh_s=300.0)
    await cache.release(key, "w1")
    await waiting.token()
    assert await minted(sandbox) == 1
    await waiting.aclose()
    await database.close()


async def test_a_failed_mint_gives_the_lease_back(database_url: str, clock: HandClock) -> None:
    database = await Database.open(database_url, now=clock.now)
    sandbox, cache = sandbox_on(clock), TokenCache(database)
    sandbox.set_faults(Faults([Fault("html", "POST /oauth/*")]))
    first, second = (tokens_on(sandbox, cache, clock, owner=name) for name in ("w1", "w2"))
    with pytest.raises(NoTokenError):
        await first.token()
    await second.token()
    for tokens in (first, second):
        await tokens.aclose()
    await database.close()


async def test_only_the_very_token_is_invalidated(database: Database) -> None:
    cache = TokenCache(database)
    for text in ("old", "new"):
        await cache.save(
            "k", "w1", access_token=text, api_domain="https://x.example", good_for_s=3600.0
        )
    await cache.invalidate("k", "old")
    row = await cache.read("k")
    assert row is not None
    assert row["access_token"] == "new"
    assert 3_590 < row["good_for_s"] <= 3_600
    await cache.invalidate("k", "new")
    row = await cache.read("k")
    assert row is not None
    assert row["good_for_s"] <= 0
    assert await cache.read("other") is None
    assert await cache.lease("k", "w1", lease_s=45.0, fresh_s=300.0)
    assert await cache.lease("k", "w1", lease_s=45.0, fresh_s=300.0)
    assert not await cache.lease("k", "w2", lease_s=45.0, fresh_s=300.0)


async def test_the_database_never_sees_the_token(database_url: str, clock: HandClock) -> None:
    database = await Database.open(database_url, now=clock.now)
    sandbox = sandbox_on(clock)
    tokens = tokens_on(sandbox, TokenCache(database), clock)
    token = await tokens.token()
    async with database.transaction() as transaction:
        rows = await transaction.fetch_sql("select * from zohosync.token_cache")
    shown = repr(rows)
    for secret in (token.secret.reveal(), sandbox.refresh_token, sandbox.client_secret):
        assert secret not in shown
    await tokens.aclose()
    await database.close()


async def test_workers_with_another_key_keep_a_token_of_their_own(
    database_url: str, clock: HandClock
) -> None:
    database = await Database.open(database_url, now=clock.now)
    sandbox, cache = sandbox_on(clock), TokenCache(database)
    ours, again = (tokens_on(sandbox, cache, clock) for _ in range(2))
    others = tokens_on(sandbox, cache, clock, secret_key=Secret("another key"))
    for _ in range(3):
        assert (await again.token()).secret == (await ours.token()).secret
        assert (await others.token()).secret != (await ours.token()).secret
    assert await minted(sandbox) == 2
    for tokens in (ours, again, others):
        await tokens.aclose()
    await database.close()


async def test_a_token_that_cannot_be_read_is_replaced(database_url: str, clock: HandClock) -> None:
    database = await Database.open(database_url, now=clock.now)
    sandbox, cache = sandbox_on(clock), TokenCache(database)
    key = credentials().token_key()
    await cache.save(key, "w1", access_token="scratched", api_domain="", good_for_s=3_600.0)
    tokens = tokens_on(sandbox, cache, clock)
    assert (await tokens.token()).api_domain == ACCOUNTS
    await tokens.aclose()
    await database.close()


def test_the_cipher_is_the_given_key_a_passphrase_or_derived() -> None:
    client = credentials()
    key = Secret(Fernet.generate_key().decode())
    sealed = cipher_of(client, key).encrypt(b"token")
    assert Fernet(key.reveal().encode()).decrypt(sealed) == b"token"
    for secret_key in (None, Secret("a passphrase")):
        sealed = cipher_of(client, secret_key).encrypt(b"token")
        assert cipher_of(client, secret_key).decrypt(sealed) == b"token"
    other = cipher_of(credentials(refresh_token="1000.other"), None)
    assert other._signing_key != cipher_of(client, None)._signing_key


def test_the_key_of_a_token_tells_clients_apart_and_nothing_else() -> None:
    ours = credentials()
    assert ours.token_key() == credentials().token_key()
    others = [
        replace(ours, data_center="eu"),
        replace(ours, client_id="x"),
        replace(ours, refresh_token=Secret("x")),
        replace(ours, scopes=("x",)),
    ]
    assert len({ours.token_key(), *(other.token_key() for other in others)}) == 5
    assert ours.refresh_token.reveal() not in ours.token_key()


def test_a_secret_is_never_shown() -> None:
    secret = Secret(" s3cret\n")
    assert secret.reveal() == "s3cret"
    assert "s3cret" not in f"{secret!r} {secret} {credentials(client_secret='s3cret')!r}"
    assert secret == Secret("s3cret")
    assert not Secret(" ")


# --------------------------------------------------------------------------------- login
