"""The one door to time, chance and ids: built once, passed down, replaced in tests."""

import asyncio
import os
import random
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

_COUNTS_SLEEP: int | None = getattr(time, "CLOCK_BOOTTIME", None)  # Linux


class Clock(Protocol):
    """What the rest of the house may know of time."""

    def now(self) -> datetime:
        """The present instant, aware UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that only grow; for measuring spans, never for naming instants."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait that many seconds of this clock (at once when not positive)."""
        ...

    def timeout(self, seconds: float) -> asyncio.Timeout:
        """`async with clock.timeout(s):` raises TimeoutError after that many seconds of it."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The present instant, aware UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since some fixed moment, those that the machine slept included where it tells.

        So leave to send that was given before a laptop's lid was closed is over when it opens.
        """
        if _COUNTS_SLEEP is None:
            return time.monotonic()
        return time.clock_gettime(_COUNTS_SLEEP)

    async def sleep(self, seconds: float) -> None:
        """Wait that many seconds."""
        await asyncio.sleep(max(0.0, seconds))

    def timeout(self, seconds: float) -> asyncio.Timeout:
        """A limit of that many seconds."""
        return asyncio.timeout(seconds)


class ScaledClock:
    """A clock that runs `speed` times as fast as the machine's since `origin`.

    Processes that share an origin and a speed agree on the time; the demo's database is given
    the same formula.
    """

    def __init__(self, *, origin: datetime, speed: float) -> None:
        """`origin` is a real instant at or before now; `speed` is virtual seconds per second."""
        if speed <= 0:
            raise ValueError(f"speed must be above 0, not {speed}")
        self.origin = origin
        self.speed = speed

    def now(self) -> datetime:
        """The present virtual instant, aware UTC."""
        return self.origin + (datetime.now(UTC) - self.origin) * self.speed

    def monotonic(self) -> float:
        """Virtual seconds since some fixed moment."""
        return time.monotonic() * self.speed

    async def sleep(self, seconds: float) -> None:
        """Wait that many virtual seconds."""
        await asyncio.sleep(max(0.0, seconds) / self.speed)

    def timeout(self, seconds: float) -> asyncio.Timeout:
        """A limit of that many virtual seconds."""
        return asyncio.timeout(seconds / self.speed)


class Chance:
    """Every roll of the dice and every made-up id, from one seed."""

    def __init__(self, seed: int | None = None) -> None:
        """`seed` None draws one from the operating system."""
        self._random = random.Random(seed)
        self._seeded = seed is not None

    def random(self) -> float:
        """A number in [0, 1)."""
        return self._random.random()

    def integer(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return self._random.randint(low, high)

    def secret(self, count: int) -> bytes:
        """So many bytes that nobody can guess, from the operating system; with a seed, from it."""
        return self._random.randbytes(count) if self._seeded else os.urandom(count)

    def token(self, prefix: str) -> str:
        """An id that does not repeat: `prefix-` and 12 hex digits."""
        return f"{prefix}-{self._random.getrandbits(48):012x}"


def span(seconds: float) -> timedelta:
    """Seconds as a timedelta."""
    return timedelta(seconds=seconds)
