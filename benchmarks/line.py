"""What every strategy is put to: one workload, one pretend Zoho behind a slow line, one judge."""

import asyncio
import math
from collections import deque
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import simplejson

from zohosync.clock import Chance, Clock
from zohosync.sandbox import Request, Sandbox, SandboxLimits

SHORTEST_S, LONGEST_S = 0.05, 2.0
"""How long a call takes, log-uniform between these."""

THERE = 0.2
"""The share of it that passes before the remote counts the call."""

ZONE = "Africa/Johannesburg"
ORIGIN = datetime(2026, 11, 22, 6, 0, 17, tzinfo=UTC)
"""Nobody starts on the minute."""

MIDNIGHT = datetime(2026, 11, 21, 22, 0, tzinfo=UTC)
"""The organisation's, for the workload that is a day long."""

DAY_S = 86_400.0
CREATE = "POST /customers"


@dataclass(frozen=True, slots=True)
class Workload:
    """So many records at once, and others that somebody waits for at these seconds."""

    name: str
    limits: str
    per_minute: int
    backfill: int
    live: tuple[float, ...]
    cap_s: float
    per_second: int | None = None
    in_flight: int = 10
    per_day: int = 10_000
    block_s: float = 3_600.0
    foreign: tuple[float, ...] = ()
    burst: tuple[float, float] | None = None
    origin: datetime = ORIGIN

    @property
    def wanted(self) -> int:
        """Every record of it."""
        return self.backfill + len(self.live)

    @property
    def whole_day(self) -> bool:
        """Whether the day's limit is what counts."""
        return self.origin == MIDNIGHT


def spread_over(count: int, low_s: float, high_s: float, seed: int) -> tuple[float, ...]:
    """That many instants between the two, by chance, in order."""
    chance = Chance(seed)
    return tuple(sorted(low_s + (high_s - low_s) * chance.random() for _ in range(count)))


def workloads(*, quick: bool) -> dict[str, Workload]:
    """Those of the benchmark; `quick` takes a twelfth of the records.

    5,000 records at once are one workload; the others have as many as keep the whole benchmark
    within its time, which our own engine takes most of.
    """
    backfill, fewer = (400, 400) if quick else (5_000, 1_500)
    found = {}
    for limits, per_minute, per_second in (("zoho", 100, None), ("guide", 120, 10)):
        whole = backfill if limits == "zoho" else fewer
        found[f"steady/{limits}"] = _steady(limits, per_minute, per_second, whole)
        found[f"burst/{limits}"] = _burst(limits, per_minute, per_second, fewer)
    found["workers/zoho"] = replace(
        _burst("zoho", 100, None, 400 if quick else 800), name="workers"
    )
    shrunk = 12 if quick else 1
    found["day/zoho"] = Workload(
        "day",
        "zoho",
        100,
        12_000 // shrunk,
        spread_over(600 // shrunk, 60.0, DAY_S - 60, seed=13),
        DAY_S,
        per_day=5_000 // shrunk,
        foreign=spread_over(400 // shrunk, 0.0, DAY_S - 60, seed=14),
        origin=MIDNIGHT,
    )
    return found


def _steady(limits: str, per_minute: int, per_second: int | None, backfill: int) -> Workload:
    """A backfill at once, and four live changes a minute.

    They end shortly before the backfill can be through, so that work is always waiting.
    """
    horizon_s = 0.95 * 60 * backfill / (per_minute - 4)
    live = spread_over(round(4 * horizon_s / 60), 0.0, horizon_s, seed=11)
    return Workload(
        "steady", limits, per_minute, backfill, live, 4 * 3_600.0, per_second=per_second
    )


def _burst(limits: str, per_minute: int, per_second: int | None, backfill: int) -> Workload:
    """The same, and 40 live changes more within a minute in the middle."""
    steady = _steady(limits, per_minute, per_second, backfill)
    middle = 0.95 * 60 * backfill / (per_minute - 4) / 2
    extra = spread_over(40, middle, middle + 60, seed=12)
    live = tuple(sorted(steady.live + extra))
    return replace(steady, name="burst", live=live, burst=(middle, middle + 60))


class Latencies(Chance):
    """Log-uniform instead of uniform: what the sandbox takes for a share of one second."""

    def random(self) -> float:
        """Seconds."""
        return (1 - THERE) * drawn(super().random())


def drawn(share: float) -> float:
    """The latency at that share of the distribution, in seconds."""
    return SHORTEST_S * math.exp(share * math.log(LONGEST_S / SHORTEST_S))


def sandbox_for(work: Workload, clock: Clock) -> Sandbox:
    """The remote of a workload; its own limiter is the judge. Its app stands behind the line."""
    sandbox = Sandbox(
        clock=clock,
        chance=Latencies(3),
        latency_s=(0.0, 1.0),
        time_zone=ZONE,
        limits=SandboxLimits(
            per_minute=work.per_minute,
            in_flight=work.in_flight,
            per_day=work.per_day,
            block_s=work.block_s,
            quota_headers=work.whole_day,
        ),
        keep_bodies=True,
    )
    app, way = sandbox.app, Chance(5)

    async def behind(scope: Any, receive: Any, send: Any) -> None:
        await clock.sleep(THERE * drawn(way.random()))
        await app(scope, receive, send)

    sandbox.app = behind  # type: ignore[assignment]
    return sandbox


@dataclass(slots=True)
class Job:
    """One record that wants one call."""

    name: str
    lane: int
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """How a call ended, as far as a client looks at it."""

    ok: bool
    throttled: bool
    retry_after_s: float | None


@dataclass(slots=True)
class Line:
    """The work that waits, and the one way to the remote; for those that are not ours."""

    work: Workload
    sandbox: Sandbox
    clock: Clock
    done: int = 0
    lost: int = 0
    _queue: deque[Job] = field(default_factory=deque)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)
    _token: tuple[float, str] = (-math.inf, "")

    async def put(self, *jobs: Job) -> None:
        """At the end."""
        self._queue.extend(jobs)
        async with self._news:
            self._news.notify_all()

    async def take(self, *, urgent: bool = False) -> Job:
        """The first that came, or with `urgent` the first of the highest lane."""
        async with self._news:
            await self._news.wait_for(lambda: self._queue)
        if urgent:
            best = max(self._queue, key=lambda job: job.lane)
            self._queue.remove(best)
            return best
        return self._queue.popleft()

    async def call(self, job: Job) -> Answer:
        """One HTTP call for that record."""
        body = simplejson.dumps({"display_name": job.name, "email": "c@example.com"}).encode()
        status, headers = await self.send("POST", "/billing/v1/customers", body)
        self.done += status == 201
        after = headers.get(b"retry-after")
        return Answer(status == 201, status == 429, float(after) if after else None)

    async def send(self, method: str, path: str, body: bytes) -> tuple[int, dict[bytes, bytes]]:
        """An HTTP exchange; its status and headers. The token is fresh and costs nothing."""
        told: dict[str, Any] = {}

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            told.update(message)

        scope = {
            "type": "http",
            "scheme": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [
                (b"authorization", f"Zoho-oauthtoken {self._fresh_token()}".encode()),
                (
                    b"x-com-zoho-subscriptions-organizationid",
                    self.sandbox.organization_id.encode(),
                ),
            ],
        }
        await self.sandbox.app(scope, receive, send)  # type: ignore[arg-type]
        return told["status"], dict(told["headers"])

    def _fresh_token(self) -> str:
        born, token = self._token
        if self.clock.monotonic() - born > 3_000:
            form = {
                "grant_type": "refresh_token",
                "client_id": self.sandbox.client_id,
                "client_secret": self.sandbox.client_secret,
                "refresh_token": self.sandbox.refresh_token,
            }
            token = str(
                self.sandbox.tokens.exchange(form, "http://sandbox.test")[1]["access_token"]
            )
            self._token = (self.clock.monotonic(), token)
        return token


async def foreign(line: Line) -> None:
    """Somebody else's calls to the same organisation."""
    for at_s in line.work.foreign:
        await line.clock.sleep(at_s - line.clock.monotonic())
        await line.send("GET", "/billing/v1/organizations", b"")


def accepted(requests: list[Request]) -> dict[str, float]:
    """By record, when the call arrived that made it, in seconds of the remote."""
    return {
        request.body["display_name"]: request.arrived_s
        for request in requests
        if request.body and request.operation == CREATE and request.code == 0
    }
