"""Upkeep that any worker does: heartbeats, rescue of what dead workers held, the probing read."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from zohosync.clock import Clock
from zohosync.core.governor import DOWN_AFTER
from zohosync.errors import DatabaseError
from zohosync.events import Listener, Noted
from zohosync.store.organizations import Presence
from zohosync.store.records import Records
from zohosync.zoho.client import Remote

RESCUE_S = 2.0
"""How often leases that ran out are looked for."""

BEAT_S = 10.0
"""How often a worker says that it is alive."""


@dataclass(frozen=True, slots=True)
class Job:
    """Upkeep that one process does for all: every so often, what was missed once and not n times.

    `run` returns what there is to tell of it, None for nothing.
    """

    name: str
    every_s: float
    run: Callable[[], Awaitable[str | None]]


class Keeper:
    """The upkeep of one process."""

    def __init__(
        self,
        *,
        records: Records,
        presence: Presence,
        remote: Remote,
        clock: Clock,
        tell: Listener,
        wake: Callable[[], None],
        besides: Callable[[], Awaitable[None]],
        sweep: Callable[[], Coroutine[Any, Any, None]] | None = None,
        jobs: Sequence[Job] = (),
        pace: float = 1.0,
    ) -> None:
        """`wake` is told when there is work again; `besides` is done in each round, too.

        `pace` stretches its intervals: a demo with sped-up time need not look so often; `sweep` is
        a loop of its own, since a round must not wait for it.
        """
        self._records = records
        self._presence = presence
        self._remote = remote
        self._clock = clock
        self._tell = tell
        self._wake = wake
        self._besides = besides
        self._sweep = sweep
        self._jobs = tuple(jobs)
        self._pace = pace
        self._probing: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Keep house until cancelled; a database that is away is waited for."""
        beat_at = self._clock.monotonic()
        async with asyncio.TaskGroup() as tasks:
            if self._sweep is not None:
                tasks.create_task(self._sweep())
            while True:
                try:
                    if self._clock.monotonic() >= beat_at:
                        await self._presence.beat()
                        beat_at = self._clock.monotonic() + BEAT_S * self._pace
                    await self._round(tasks)
                    await self._besides()  # last: whatever it meets, leases were looked after
                except DatabaseError as error:
                    self._note(error)
                await self._clock.sleep(RESCUE_S * self._pace)

    async def _round(self, tasks: asyncio.TaskGroup) -> None:
        """Rescue what nobody holds any more; ask a down organisation whether it is up again."""
        rescued, state = await self._records.rescue_and_look()
        if rescued:
            self._tell(Noted(f"took over {rescued} records whose worker went silent"))
            self._wake()
        if self._probing is not None and not self._probing.done():
            return
        down = state.overloads >= DOWN_AFTER and not state.paused
        if down and (state.closed_for_s or 0.0) <= 0:  # it may hang: the next rescue does not wait
            self._probing = tasks.create_task(self._probe())

    async def _probe(self) -> None:
        try:
            await self._remote.probe()
        except DatabaseError as error:
            self._note(error)

    def _note(self, error: DatabaseError) -> None:
        self._tell(Noted(f"upkeep: {error}", logging.WARNING))
