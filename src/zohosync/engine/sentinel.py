"""The comparisons that nobody asked for: by night, and of what was in doubt and is settled."""

import asyncio
import logging
from collections.abc import Sequence
from math import ceil

from zohosync.clock import Clock
from zohosync.core.compare import Sort
from zohosync.engine.comparing import Comparer, Outcome
from zohosync.engine.joined import needed
from zohosync.errors import (
    DatabaseError,
    LeaseLostError,
    MappingError,
    RemoteError,
    ZohosyncError,
)
from zohosync.events import Listener, Noted
from zohosync.store.comparisons import Comparisons
from zohosync.store.source import Source
from zohosync.zoho.wire import PER_PAGE, WIRES

SHARE = 10
"""The nightly comparison takes no more than a tenth of the day's calls."""

AGAIN_EVERY_S, AGAIN_SHARE = 3_600.0, 100
"""How often what was in doubt is looked at, and the hundredth of a day's calls that it may take."""

TRIES, PAUSE_S = 4, 60.0

TOLD = {
    Sort.DIFFERS: "differ in Zoho from what is here",
    Sort.DOUBLE: "are in Zoho twice",
    Sort.AMBIGUOUS: "may be in Zoho already and wait for a person's word",
}


class Sentinel:
    """Compares every kind once a night, after the sweep; what was in doubt, when that is settled.

    What drifted and what is there twice is told, and never acted on.
    """

    def __init__(
        self,
        *,
        comparer: Comparer,
        comparisons: Comparisons,
        source: Source,
        clock: Clock,
        per_day: int | None,
        tell: Listener,
    ) -> None:
        """`per_day` is the limit of the organisation's calls, None where there is none."""
        self._comparer = comparer
        self._comparisons = comparisons
        self._source = source
        self._clock = clock
        self._per_day = per_day
        self._tell = tell
        self._busy = asyncio.Lock()

    async def look(self) -> list[Outcome]:
        """Compare all kinds, parents first, and tell what is not as it should be.

        What cannot be read tonight is told, and is read another night.
        """
        async with self._busy:
            return await self._look(self._source.kinds)

    async def _look(self, kinds: Sequence[str]) -> list[Outcome]:
        try:
            pages = await self._pages(kinds)
            if self._per_day is not None and pages * SHARE > self._per_day:
                self._say(
                    f"the nightly comparison would take {pages:,} calls, over a tenth of the "
                    f"{self._per_day:,} of a day: run `zohosync compare` by hand",
                    logging.INFO,
                )
                return []
            found = []
            for kind in kinds:
                found.append(await self._compared(kind))
                self._tell_of(found[-1])
        except ZohosyncError as error:
            self._say(f"the nightly comparison: {error}", logging.WARNING)
            return []
        return found

    async def look_again(self) -> str | None:
        """Compare anew the kinds of which something is held that need not be any more.

        What a record may be in Zoho turns out to be another one; or the customer of a subscription
        in doubt is settled, and a reading tells whether that is there. What would take more than a
        hundredth of the day's calls is left to the night, and what cannot be read now to the next
        time. Returns what came of it, None where there was nothing to do. Raises DatabaseError.
        """
        if self._busy.locked():  # by its own reading; the lease keeps only other processes out
            return None
        done: list[str] = []
        calls = 0
        async with self._busy:
            while stale := await self._stale(done):
                kinds = needed(stale, self._source.kinds)
                calls += await self._pages(kinds)
                if self._per_day is not None and calls * AGAIN_SHARE > self._per_day:
                    break
                try:
                    for kind in kinds:
                        await self._comparer.compare(kind)
                except (LeaseLostError, MappingError, RemoteError) as error:
                    return f"not now: {error}"
                done += stale
        return f"compared {', '.join(done)} anew: what they may be was settled" if done else None

    async def _stale(self, done: Sequence[str]) -> list[str]:
        found = await self._comparisons.settled_since(self._source.kinds)
        return [kind for kind in found if kind not in done]

    async def _compared(self, kind: str) -> Outcome:
        """Compare a kind; what was broken off goes on where it was."""
        for tries in range(1, TRIES):
            try:
                return await self._comparer.compare(kind)
            except (DatabaseError, LeaseLostError, RemoteError):
                await self._clock.sleep(PAUSE_S * tries)
        return await self._comparer.compare(kind)

    async def _pages(self, kinds: Sequence[str]) -> int:
        listed = [kind for kind in kinds if WIRES[kind].verify.through is None]
        newest = await self._comparisons.newest()
        pages = 0
        for kind in listed:
            before = newest[kind]["calls"] if kind in newest else 1
            pages += max(before, ceil(await self._source.count(kind) / PER_PAGE))
        return pages

    def _tell_of(self, outcome: Outcome) -> None:
        for sort, words in TOLD.items():
            if count := outcome.counts.get(str(sort), 0):
                self._say(
                    f"{count:,} {outcome.kind} {words}: zohosync compare {outcome.kind}",
                    logging.WARNING,
                )

    def _say(self, text: str, level: int) -> None:
        self._tell(Noted(text, level))
