"""What people use today, each a small client on the same line: written from what is published."""

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Protocol

from benchmarks.line import ORIGIN, Answer, Job, Line
from zohosync.clock import Chance, Clock

Client = Callable[[Line], Coroutine[Any, Any, None]]

WORKERS = 10
"""As many calls as the remote allows in flight."""


class Limiter(Protocol):
    """What a pool of workers asks before each call."""

    async def acquire(self) -> None:
        """Wait until a call may leave."""
        ...


async def pooled(line: Line, work: Callable[[Job], Awaitable[None]]) -> None:
    """Ten workers, first come first served, until cancelled."""

    async def worker() -> None:
        while True:
            await work(await line.take())

    async with asyncio.TaskGroup() as tasks:
        for _ in range(WORKERS):
            tasks.create_task(worker())


def limited(make: Callable[[Line], Limiter]) -> Client:
    """A client that asks a limiter before each call, and heeds Retry-After when it is refused.

    Where the remote names no time, a refused call is tried again after 1, 2, 4 … 64 s.
    """

    async def client(line: Line) -> None:
        limiter = make(line)

        async def work(job: Job) -> None:
            while True:
                await limiter.acquire()
                answer = await line.call(job)
                if answer.ok:
                    return
                job.attempts += 1
                doubled = 2.0 ** min(6, job.attempts - 1)
                await line.clock.sleep(answer.retry_after_s or doubled)

        await pooled(line, work)

    return client


# ------------------------------------------------------------------------- the guide's queue


def guide_queue(processes: int) -> Client:
    """The guide's request queue as written, one in each process.

    One consumer, highest priority first; 120 a minute counted by successes in a window that is
    reset when a minute has passed; 150 ms between requests; three attempts, 1, 2, 4 s after a 429
    (the last one slept, too), then the record has failed for good. Left out in its favour: that
    it counts one request for several, and asks for a token each time.
    """

    async def client(line: Line) -> None:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(processes):
                tasks.create_task(_guide_process(line))

    return client


async def _guide_process(line: Line) -> None:
    clock, counted, since = line.clock, 0, line.clock.monotonic()
    while True:
        job = await line.take(urgent=True)
        if clock.monotonic() - since >= 60:
            counted, since = 0, clock.monotonic()
        if counted >= 120:
            await clock.sleep(60 - (clock.monotonic() - since))
            counted, since = 0, clock.monotonic()
        made = await _three_times(line, job)
        counted, line.lost = counted + made, line.lost + (not made)
        await clock.sleep(0.15)


async def _three_times(line: Line, job: Job) -> bool:
    for attempt in range(3):
        answer = await line.call(job)
        if answer.ok or not answer.throttled:
            return answer.ok
        await line.clock.sleep(min(60.0, 2.0**attempt))
    return False


# ---------------------------------------------------------------------------- no limit at all


async def backoff(line: Line) -> None:
    """Fire while there is work; after a 429 the call waits 1, 2, 4 … 64 s; never gives up."""

    async def work(job: Job) -> None:
        while not (await line.call(job)).ok:
            await line.clock.sleep(2.0 ** min(6, job.attempts))
            job.attempts += 1

    await pooled(line, work)


# ------------------------------------------------------------------- the AWS SDK's adaptive mode


@dataclass(slots=True)
class Adaptive:
    """The adaptive retry mode of the AWS SDKs, from its published formulas.

    Source: "Adaptive mode" in the AWS SDKs and Tools Reference Guide, and the constants of
    botocore's retries (`adaptive`, `throttling`, `bucket`): a token bucket that is off until the
    first throttle; its rate after a throttle is 0.7 of the rate measured, and grows again as
    0.4·(t - k)³ + w, k = (w·0.3 / 0.4)^⅓, at most twice the rate measured and at least 0.5 a
    second; the rate is measured in half seconds and smoothed 0.8 to 0.2.
    """

    clock: Clock
    enabled: bool = False
    rate: float = 1.0
    capacity: float = 1.0
    tokens: float = 0.0
    filled_s: float = 0.0
    w_max: float = 0.0
    failed_s: float = 0.0
    measured: float = 0.0
    bucket_s: float = 0.0
    count: int = 0

    def fill(self) -> None:
        """Let tokens come in up to now."""
        now = self.clock.monotonic()
        self.tokens = min(self.capacity, self.tokens + (now - self.filled_s) * self.rate)
        self.filled_s = now

    async def acquire(self) -> None:
        """Wait for a token, once something was throttled."""
        if not self.enabled:
            return
        self.fill()
        while self.tokens < 1:
            await self.clock.sleep(max(0.001, (1 - self.tokens) / self.rate))
            self.fill()
        self.tokens -= 1

    def heard(self, answer: Answer) -> None:
        """Learn from an answer."""
        now = self.clock.monotonic()
        half = math.floor(now * 2) / 2
        self.count += 1
        if half > self.bucket_s:
            self.measured = 0.8 * self.count / (half - self.bucket_s) + 0.2 * self.measured
            self.count, self.bucket_s = 0, half
        if answer.throttled:
            self.w_max = min(self.measured, self.rate) if self.enabled else self.measured
            self.failed_s, self.enabled = now, True
            wanted = 0.7 * self.w_max
        else:
            k = (self.w_max * 0.3 / 0.4) ** (1 / 3)
            wanted = 0.4 * (now - self.failed_s - k) ** 3 + self.w_max
        wanted = min(wanted, 2 * self.measured)
        self.fill()
        self.rate, self.capacity = max(wanted, 0.5), max(wanted, 1.0)
        self.tokens = min(self.tokens, self.capacity)


async def adaptive(line: Line) -> None:
    """Ten workers behind one adaptive limiter; three attempts, and the caller comes back for it.

    Between attempts up to 1, 2 s by chance, as in the SDK; a record that failed thrice goes to
    the end of the queue.
    """
    limiter, chance = Adaptive(line.clock), Chance(9)

    async def work(job: Job) -> None:
        for attempt in range(3):
            await limiter.acquire()
            answer = await line.call(job)
            limiter.heard(answer)
            if answer.ok:
                return
            if attempt < 2:
                await line.clock.sleep(chance.random() * 2.0**attempt)
        await line.put(job)

    await pooled(line, work)


# ---------------------------------------------------------------------- windows, and a library


@dataclass(slots=True)
class FixedWindow:
    """So many a calendar minute; whoever comes later waits for the next."""

    clock: Clock
    limit: int
    offset_s: float = ORIGIN.second
    minute: int = -1
    used: int = 0

    async def acquire(self) -> None:
        """Wait until the minute has room."""
        while True:
            at_s = self.clock.monotonic() + self.offset_s
            if int(at_s // 60) != self.minute:
                self.minute, self.used = int(at_s // 60), 0
            if self.used < self.limit:
                self.used += 1
                return
            await self.clock.sleep((self.minute + 1) * 60 - at_s + 1e-6)


@dataclass(slots=True)
class SlidingWindow:
    """So many in any 60 s, exactly, counted when a call leaves; first come first served."""

    clock: Clock
    limit: int
    starts: deque[float] = field(default_factory=deque)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def acquire(self) -> None:
        """Wait until the 60 s before have room."""
        async with self.turn:
            if len(self.starts) == self.limit:
                await self.clock.sleep(self.starts.popleft() + 60 - self.clock.monotonic())
            self.starts.append(self.clock.monotonic())


class Pyrate:
    """pyrate-limiter, the library itself, its bucket in memory and on the clock given."""

    def __init__(self, clock: Clock, limit: int) -> None:
        """So many a minute."""
        from pyrate_limiter import InMemoryBucket, Rate  # noqa: PLC0415 - in the group bench only
        from pyrate_limiter import Limiter as Library  # noqa: PLC0415
        from pyrate_limiter.clocks import AbstractClock  # noqa: PLC0415
        from pyrate_limiter.limiter import SingleBucketFactory  # noqa: PLC0415

        class Virtual(AbstractClock):  # type: ignore[misc]
            def now(self) -> int:
                return int(clock.monotonic() * 1_000)

        bucket = InMemoryBucket([Rate(limit, 60_000)])
        bucket._clock = Virtual()  # noqa: SLF001 - the way to give an InMemoryBucket another clock
        # Its thread that drops old entries runs on real time: they are dropped here instead.
        self._bucket = bucket
        self._limiter = Library(SingleBucketFactory(bucket, schedule_leak=False))
        self._now = Virtual()

    async def acquire(self) -> None:
        """Wait until it lets one through."""
        self._bucket.leak(self._now.now())
        while not await self._limiter.try_acquire_async("zoho"):
            pass


def rivals() -> dict[str, Client]:
    """By name; the order is that of the table. `…, 90 %` keeps a tenth in hand."""
    return {
        "guide's queue": guide_queue(1),
        "guide's queue, 2 processes": guide_queue(2),
        "guide's queue, 4 processes": guide_queue(4),
        "exponential back-off": backoff,
        "AWS adaptive": adaptive,
        "fixed window": limited(lambda line: FixedWindow(line.clock, line.work.per_minute)),
        "sliding window": limited(lambda line: SlidingWindow(line.clock, line.work.per_minute)),
        "sliding window, 90 %": limited(
            lambda line: SlidingWindow(line.clock, line.work.per_minute * 90 // 100)
        ),
        "pyrate-limiter": limited(lambda line: Pyrate(line.clock, line.work.per_minute)),
        "pyrate-limiter, 90 %": limited(
            lambda line: Pyrate(line.clock, line.work.per_minute * 90 // 100)
        ),
    }
