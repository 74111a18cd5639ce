"""Virtual time: an event loop whose clock jumps to the next timer and waits for real I/O only."""

import asyncio
import heapq
import itertools
import selectors
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")

ORIGIN = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)
"""Where virtual time starts unless a test says otherwise."""

IO_LIMIT_S = 30.0
"""Real seconds after which I/O that does not come back is taken for a hang."""


CURRENT_TIME = """
create or replace function zohosync.current_time() returns timestamptz
  language sql volatile parallel safe as $$
    select coalesce(nullif(current_setting('zohosync.now', true), '')::timestamptz,
                    clock_timestamp())
  $$
"""
"""Lets a database go by what `Database.open(…, now=…)` tells it; without it, the real clock."""


class _Selector(selectors.DefaultSelector):
    """Serves ready I/O; waits for I/O in flight in real time; else jumps to the next timer.

    psycopg registers its socket only while a query is in flight, so whatever is registered
    besides the loop's own pipe is I/O that somebody waits for.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if len(self.get_map()) > 1:
            ready = super().select(IO_LIMIT_S)
            if not ready:
                raise RuntimeError(f"I/O did not come back within {IO_LIMIT_S:.0f} s")
            return ready
        if timeout is None:
            raise RuntimeError("virtual deadlock: nothing runs, no timer, no I/O")
        self.now_s += timeout
        return ready


class _Timer(asyncio.TimerHandle):
    """A timer with a place among those of its instant, where a heap alone has no order."""

    __slots__ = ("number",)
    number: int

    def __lt__(self, other: Any) -> bool:
        """The earlier one, and of one instant the older one."""
        return (self.when(), self.number) < (other.when(), other.number)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time, real sockets of psycopg included."""

    def __init__(self) -> None:
        """Time starts at 0."""
        self._virtual = _Selector()
        super().__init__(self._virtual)
        self._clock_resolution = 1e-6
        self._timers = itertools.count()

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._virtual.now_s

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        """As the loop does it; of two timers of one instant the older goes first."""
        loop: Any = self
        loop._check_closed()  # noqa: SLF001
        timer: Any = _Timer(when, callback, args, self, context)
        timer.number = next(self._timers)
        heapq.heappush(loop._scheduled, timer)  # noqa: SLF001
        timer._scheduled = True  # noqa: SLF001
        return timer  # type: ignore[no-any-return]


class VirtualClock:
    """The clock of a virtual loop; `skew_s` lets a host's clock be wrong."""

    def __init__(self, origin: datetime = ORIGIN, *, skew_s: float = 0.0) -> None:
        """For the running loop; `origin` is the instant at its time 0."""
        self._loop = asyncio.get_running_loop()
        self._origin = origin + timedelta(seconds=skew_s)

    def now(self) -> datetime:
        """The present virtual instant."""
        return self._origin + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        """Let virtual time pass."""
        await asyncio.sleep(max(0.0, seconds))

    def timeout(self, seconds: float) -> asyncio.Timeout:
        """A time limit in virtual seconds."""
        return asyncio.timeout(seconds)


def run(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine in virtual time, from a test that is not itself on a loop."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())
