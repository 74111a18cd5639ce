"""Lists that were read a moment ago: one read serves every record that looks for its own."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

from zohosync.clock import Clock
from zohosync.core.replies import Found, Reply

FRESH_S = 10.0
"""How old a list may be: the record that is found in it may have been changed since."""

KEPT = 64
"""Lists that are kept, each some pages of 200 rows at the most."""

Name = tuple[str, tuple[tuple[str, str], ...]]


@dataclass(slots=True)
class _Kept:
    read_at: float
    found: Found


@dataclass(slots=True)
class Lists:
    """The lists of one process, by kind and query; only those that were read to their end."""

    clock: Clock
    _kept: dict[Name, _Kept] = field(default_factory=dict)
    _reading: dict[tuple[Name, int], asyncio.Lock] = field(default_factory=dict)

    async def read(
        self,
        kind: str,
        query: Mapping[str, str],
        lane: int,
        *,
        enough: Callable[[Found], bool],
        read: Callable[[], Awaitable[Reply]],
    ) -> Reply:
        """A list that is `enough` and young, marked as spared; else what `read` brings.

        Who waits for the same list in the same lane waits for one read. A list in which nothing
        fits is read again: what is looked for may have been made since.
        """
        name = (kind, tuple(sorted(query.items())))
        turn = self._reading.setdefault((name, lane), asyncio.Lock())
        try:
            async with turn:
                kept = self._kept.get(name)
                young = kept is not None and self.clock.monotonic() - kept.read_at <= FRESH_S
                if kept is not None and young and enough(kept.found):
                    return replace(kept.found, spared=1)
                asked_at = self.clock.monotonic()
                reply = await read()
                if isinstance(reply, Found) and reply.complete:
                    self._keep(name, _Kept(asked_at, reply))
                return reply
        finally:
            if not turn.locked():
                self._reading.pop((name, lane), None)

    def _keep(self, name: Name, kept: _Kept) -> None:
        self._kept.pop(name, None)
        self._kept[name] = kept
        while len(self._kept) > KEPT:
            del self._kept[next(iter(self._kept))]
