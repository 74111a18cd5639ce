"""What the tests of the remote need: a gate that grants and remembers, a token cache in memory."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx2

from contract.contract import request_faults
from zohosync.clock import Chance, Clock
from zohosync.core.records import NORMAL, Claim, Intent, Payload, Ref
from zohosync.core.replies import Reply
from zohosync.core.steps import Create, Find, Purpose
from zohosync.sandbox import Sandbox, SandboxLimits
from zohosync.zoho.client import Call, CallEnd, Remote, Ticket
from zohosync.zoho.tokens import Credentials, Secret, Tokens

ACCOUNTS = "http://sandbox.test"


START = datetime(2026, 3, 10, 9, 0, tzinfo=UTC)


@dataclass
class HandClock:
    """Moves when it is slept on, or by hand; its time limits are real ones."""

    moment_s: float = 1_000.0

    def now(self) -> datetime:
        return START + timedelta(seconds=self.moment_s)

    def monotonic(self) -> float:
        return self.moment_s

    async def sleep(self, seconds: float) -> None:
        self.moment_s += max(0.0, seconds)
        turn = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(turn.set_result, None)
        await turn

    def timeout(self, seconds: float) -> asyncio.Timeout:
        return asyncio.timeout(seconds)


@dataclass
class RecordingGate:
    """Grants every call at once; remembers calls and ends. `send_within_s` may be negative."""

    clock: Clock
    send_within_s: float = 2.0
    time_limit_s: float = 5.0
    calls: list[Call] = field(default_factory=list)
    ends: list[CallEnd] = field(default_factory=list)

    async def admit(self, call: Call) -> Ticket:
        self.calls.append(call)
        send_by = self.clock.monotonic() + self.send_within_s
        return Ticket(len(self.calls), send_by, self.time_limit_s)

    async def finish(self, ticket: Ticket, end: CallEnd) -> None:
        self.ends.append(end)

    def operations(self) -> list[str]:
        """What left, in order."""
        return [call.operation for call in self.calls]


@dataclass
class MemoryCache:
    """The token cache of one test, on its clock; what the real one does is tested on Postgres."""

    clock: Clock
    row: dict[str, Any] = field(default_factory=dict)

    async def read(self, token_key: str) -> Mapping[str, Any] | None:
        if not self.row:
            return None
        return {**self.row, "good_for_s": self.row["ends_at"] - self.clock.monotonic()}

    async def lease(self, token_key: str, by: str, *, lease_s: float, fresh_s: float) -> bool:
        return not self.row or self.row["ends_at"] - self.clock.monotonic() <= fresh_s

    async def save(
        self, token_key: str, by: str, *, access_token: str, api_domain: str, good_for_s: float
    ) -> None:
        ends_at = self.clock.monotonic() + good_for_s
        self.row = {"access_token": access_token, "api_domain": api_domain, "ends_at": ends_at}

    async def release(self, token_key: str, by: str) -> None:
        pass

    async def invalidate(self, token_key: str, access_token: str) -> None:
        if self.row.get("access_token") == access_token:
            self.row = {}


def credentials(**changes: Any) -> Credentials:
    """The sandbox's own client."""
    return Credentials(
        data_center="us",
        client_id=changes.get("client_id", "1000.CLIENT"),
        client_secret=Secret(changes.get("client_secret", "secret")),
        refresh_token=Secret(changes.get("refresh_token", "1000.refresh")),
    )


@dataclass
class Line:
    """A remote over the in-process sandbox, its gate, its cache and the sandbox itself."""

    sandbox: Sandbox
    gate: RecordingGate
    cache: MemoryCache
    tokens: Tokens
    remote: Remote

    async def perform(self, kind: str, step: Any, **about: Any) -> Reply:
        """One step of a record of that kind."""
        return await self.remote.perform(step, claim(kind, **about), NORMAL)

    async def create(self, kind: str, payload: Payload, total: Decimal | None = None) -> Reply:
        """Create a record."""
        return await self.perform(kind, Create(payload, payload, total, more=False))

    async def find(
        self,
        kind: str,
        expected: Payload,
        *,
        purpose: Purpose = Purpose.VERIFY,
        zoho_id: str | None = None,
        hint: str | None = None,
        total: Decimal | None = None,
    ) -> Reply:
        """Look a record up."""
        return await self.perform(kind, Find(purpose, expected, total, zoho_id, hint))

    def left(self, *, since: int = 0) -> list[str]:
        """The operations that left, token mints aside."""
        return [name for name in self.gate.operations()[since:] if name != "token"]

    def contract_faults(self) -> list[str]:
        """Where a request that Zoho would have taken breaks the published contract."""
        return [
            f"{entry.operation}: {fault}"
            for entry in self.sandbox.ledger.requests
            if entry.status in (200, 201) and entry.reply is not None
            if not entry.operation.endswith(("/organizations", "/token"))
            for fault in request_faults(entry.operation, entry.body, entry.query)
        ]


@asynccontextmanager
async def line(
    *,
    sandbox: Sandbox | None = None,
    transport: httpx2.AsyncBaseTransport | None = None,
    base: str = ACCOUNTS,
    clock: Clock | None = None,
    remote: Mapping[str, Any] | None = None,
    **settings: Any,
) -> AsyncIterator[Line]:
    """A remote over the sandbox, in process unless a transport or a `base` address is given.

    When it ends, every request that went over the wire must have kept the contract.
    """
    clock = clock or HandClock()
    if sandbox is None:
        settings.setdefault("limits", SandboxLimits.lifted())
        sandbox = Sandbox(clock=clock, chance=Chance(1), keep_bodies=True, **settings)
    if transport is None and base == ACCOUNTS:
        transport = httpx2.ASGITransport(sandbox.app)
    gate, cache = RecordingGate(clock), MemoryCache(clock)
    tokens = Tokens(
        credentials(), cache=cache, gate=gate, clock=clock, owner="test", accounts_url=base,
        transport=transport,
    )  # fmt: skip
    about = {"organization_id": sandbox.organization_id, "api_url": base, **(remote or {})}
    made = Remote(gate=gate, tokens=tokens, clock=clock, transport=transport, **about)
    connected = Line(sandbox, gate, cache, tokens, made)
    try:
        yield connected
    finally:
        await made.aclose()
        await tokens.aclose()
    faults = connected.contract_faults()
    assert not faults, faults


def claim(kind: str, key: str = "1", intent: Intent | None = None) -> Claim:
    """A claim of a record of that kind."""
    return Claim(
        org_id="10001", ref=Ref(kind, key), version=1, epoch=1, priority=NORMAL,
        claimed_at=datetime(2026, 1, 1, tzinfo=UTC), intent=intent,
    )  # fmt: skip


def found_ids(reply: Reply) -> list[str]:
    """The ids of the candidates that a look-up found."""
    candidates = getattr(reply, "candidates", None)
    assert candidates is not None, reply
    return [candidate.zoho_id for candidate in candidates]
