"""A running process: gate, worker, leases and upkeep, started and stopped as one."""

import asyncio
import contextlib
from dataclasses import dataclass

from zohosync.clock import Clock
from zohosync.engine.gate import Gate
from zohosync.engine.keeper import Keeper
from zohosync.engine.worker import Worker
from zohosync.errors import DatabaseError
from zohosync.store.connection import LET_GO_S
from zohosync.store.organizations import Presence
from zohosync.store.records import Records

STOP_WITHIN_S = 35.0
"""How long a stop may take: calls under way come to their end (30 s at the most), and no more.

Where the database does not answer any more, it takes GOODBYE_S longer.
"""

GOODBYE_S = 5.0
"""How long a stop then still waits for the database: what is not given back to it by then is
rescued when its lease runs out."""

IDLE_HORIZON_S = 3_000.0
"""`run --until-idle` waits for what comes due in this time: an uncertain create takes 30 min."""


@dataclass(frozen=True, slots=True)
class Service:
    """The loops of one process."""

    gate: Gate
    worker: Worker
    keeper: Keeper
    presence: Presence
    records: Records
    clock: Clock

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then stop within STOP_WITHIN_S and lose nothing.

        It takes up to GOODBYE_S more where the database does not answer; its errors are not raised.
        """
        async with asyncio.TaskGroup() as tasks:
            loops = [
                tasks.create_task(self.gate.run()),
                tasks.create_task(self.worker.keep_leases()),
                tasks.create_task(self.keeper.run()),
            ]
            working = tasks.create_task(self.worker.run(stop))
            wake = tasks.create_task(self._wake_on(stop))
            loops.append(wake)
            await stop.wait()
            with contextlib.suppress(TimeoutError):
                async with self.clock.timeout(STOP_WITHIN_S):
                    await asyncio.shield(working)
            give_up_at = self.clock.monotonic() + GOODBYE_S - LET_GO_S
            working.cancel()
            for loop in loops:
                loop.cancel()
        with contextlib.suppress(DatabaseError, TimeoutError):  # what it holds then is rescued
            async with self.clock.timeout(max(0.0, give_up_at - self.clock.monotonic())):
                await self.records.release()
                await self.presence.leave()

    async def _wake_on(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self.worker.wake()

    async def run_until_idle(
        self, stop: asyncio.Event, *, poll_s: float = 1.0, horizon_s: float = IDLE_HORIZON_S
    ) -> None:
        """Work until nothing moves by itself within `horizon_s`, or until `stop` is set."""
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(self._stop_when_idle(stop, poll_s, horizon_s))
            await self.run(stop)
            watching.cancel()

    async def _stop_when_idle(self, stop: asyncio.Event, poll_s: float, horizon_s: float) -> None:
        quiet = 0
        while quiet < 2:
            await self.clock.sleep(poll_s)
            try:
                left = await self.records.unsettled(horizon_s)
            except DatabaseError:  # the loops tell of it; whoever cannot look does not know
                left = {"due": 1}
            busy = left.get("marks", 0) or left.get("leased", 0) or left.get("due", 0)
            quiet = 0 if busy and not left.get("paused") else quiet + 1
        stop.set()
