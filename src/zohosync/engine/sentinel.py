"""The comparisons that nobody asked for: by night, and of what was in doubt and is settled."""

import logging
from collections.abc import Sequence
from math import ceil

from zohosync.clock import Clock
from zohosync.core.compare import Sort
from zohosync.engine.comparing import Comparer, Outcome
from zohosync.engine.joined import needed
from zohosync.errors import DatabaseError, RemoteError, ZohosyncError
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

    async def look(self) -> list[Outcome]:
        """Compare all kinds, parents first, and tell what is not as it should be.

        What cannot be read tonight is told, and is read another night.
        """
        kinds = self._source.kinds
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
        """Compare anew the kinds of which something is held for what is linked by now.

        A child of a customer in doubt may be in Zoho or not; once the customer is settled, a
        reading tells. One that would take more than a hundredth of the day's calls is left to the
        night. Returns what came of it, None where there was nothing to do. Raises RemoteError when
        Zoho cannot be read, and what `Comparer.compare` does.
        """
        stale = await self._comparisons.settled_since(self._source.kinds)
        kinds = needed(stale, self._source.kinds)
        pages = await self._pages(kinds) if stale else 0
        if not stale or (self._per_day is not None and pages * AGAIN_SHARE > self._per_day):
            return None
        for kind in kinds:
            await self._comparer.compare(kind)
        return f"compared {', '.join(stale)} anew: what they may be in Zoho was settled"

    async def _compared(self, kind: str) -> Outcome:
        """Compare a kind; what was broken off goes on where it was."""
        for tries in range(1, TRIES):
            try:
                return await self._comparer.compare(kind)
            except (DatabaseError, RemoteError):
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
