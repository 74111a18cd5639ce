"""A stop ends in time although Postgres stands still: its processes are stopped for real."""

import asyncio
import os
import signal
from contextlib import suppress
from datetime import UTC, datetime

from zohosync.clock import Chance, ScaledClock, SystemClock
from zohosync.engine.service import GOODBYE_S, STOP_WITHIN_S
from zohosync.sandbox import Sandbox, SandboxLimits
from zohosync.store.connection import Address, Connection, connect
from zohosync.store.database import Database
from zohosync.testing.world import WorldSettings, world

MAPPING = {"customers": "select 1 as key, 'Ann' as display_name, 'ann@example.com' as email"}
SPEED = 20.0  # of all but what is real here: the server, and how long a statement is let run
SETTINGS = WorldSettings().working(send_within_s=20.0, lease_s=60.0)


class Frost:
    """The server processes of one worker, and of every connection that it makes later."""

    def __init__(self) -> None:
        self.pids: set[int] = set()
        self.fallen = False

    async def dial(self, address: Address) -> tuple[Connection, bool]:
        made = await connect(address)
        self.pids.add(made[0].info.backend_pid)
        if self.fallen:
            self._tell(signal.SIGSTOP)
        return made

    def fall(self) -> None:
        self.fallen = True
        self._tell(signal.SIGSTOP)

    def melt(self) -> None:
        self.fallen = False
        self._tell(signal.SIGCONT)

    def _tell(self, what: signal.Signals) -> None:
        for pid in self.pids:
            with suppress(ProcessLookupError):
                os.kill(pid, what)


async def test_a_stop_ends_although_the_database_stands_still(
    database: Database, database_url: str
) -> None:
    clock = ScaledClock(origin=datetime.now(UTC), speed=SPEED)  # noqa: TID251 - a real instant
    sandbox = Sandbox(clock=clock, chance=Chance(7), limits=SandboxLimits.lifted())
    frost, stop = Frost(), asyncio.Event()
    ours = await Database.open(database_url, connections=1, dial=frost.dial)
    try:
        async with world(ours, MAPPING, sandbox, clock=clock, settings=SETTINGS) as joined:
            await joined.source.mark_all("customers", priority=5)
            sandbox.wire.latency_s = (10.0, 10.0)
            async with asyncio.TaskGroup() as tasks:
                running = tasks.create_task(joined.service.run(stop))
                while not await found(database, "zohosync.records where intent_id is not null"):
                    await clock.sleep(1.0)
                frost.fall()
                began = SystemClock().monotonic()
                stop.set()
                done, _ = await asyncio.wait([running], timeout=20)
                took_s = SystemClock().monotonic() - began
                frost.melt()
    finally:
        frost.melt()
        await ours.close()
    assert done, "it is still waiting for the database"
    assert took_s <= STOP_WITHIN_S / SPEED + GOODBYE_S
    assert len(sandbox.ledger.records("customers")) == 1
    assert await found(database, "zohosync.records where lease_until is not null")


async def found(database: Database, text: str) -> bool:
    async with database.transaction() as transaction:
        return bool(await transaction.fetch_sql(f"select from {text}"))
