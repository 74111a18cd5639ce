"""The keeper: what it rescues is worked on at once, and a probe that hangs holds up no rescue."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from zohosync.clock import Chance
from zohosync.core.governor import DOWN_AFTER
from zohosync.engine.keeper import Keeper
from zohosync.errors import DatabaseError
from zohosync.sandbox import Fault, Faults, Sandbox, SandboxLimits
from zohosync.store.database import Database
from zohosync.store.records import Records
from zohosync.testing.virtual import VirtualClock, run
from zohosync.testing.world import WorldSettings, world

MAPPING = {"customers": "select 1 as key, 'Ann' as display_name, 'ann@example.com' as email"}
LEASE_S = 10.0


@dataclass
class Shop:
    """A working process, and a record that a dead one holds for LEASE_S seconds."""

    database: Database
    clock: VirtualClock
    sandbox: Sandbox

    async def rows(self, text: str) -> list[dict[str, Any]]:
        async with self.database.transaction() as transaction:
            return await transaction.fetch_sql(text)


@asynccontextmanager
async def shop(
    url: str, *, faults: Faults | None = None, overloads: int = 0, poll_s: float = 1.0
) -> AsyncIterator[Shop]:
    clock = VirtualClock()
    sandbox = Sandbox(clock=clock, chance=Chance(7), limits=SandboxLimits.lifted(), faults=faults)
    database = await Database.open(url, now=clock.now)
    settings = WorldSettings().working(poll_s=poll_s)
    async with world(database, MAPPING, sandbox, clock=clock, settings=settings) as joined:
        made = Shop(database, clock, sandbox)
        await joined.source.mark_all("customers", priority=5)
        org_id = sandbox.organization_id
        dead = Records(database, org_id=org_id, worker="dead", lease_s=LEASE_S, debounce_s=0.0)
        await dead.fold_marks()
        assert len(await dead.claim(1)) == 1
        await made.rows(f"update zohosync.organizations set overloads = {overloads} returning 1")
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(joined.service.run(stop))
            yield made
            stop.set()
    await database.close()


def test_what_is_rescued_is_worked_on_at_once(database_url: str) -> None:
    async def main() -> None:
        async with shop(database_url, poll_s=3_600.0) as here:  # who is not woken sleeps on
            await here.clock.sleep(LEASE_S - 1.0)
            assert here.sandbox.ledger.records("customers") == []
            await here.clock.sleep(5.0)
            (row,) = here.sandbox.ledger.records("customers")
            assert row["display_name"] == "Ann"

    run(main)


def test_a_probe_that_hangs_holds_up_no_rescue(database_url: str) -> None:
    async def main() -> None:
        hangs = Faults([Fault("slow", "GET /organizations", times=9, seconds=60.0)])
        async with shop(database_url, faults=hangs, overloads=DOWN_AFTER) as here:
            await here.clock.sleep(LEASE_S + 5.0)
            probes = "select finished_at from zohosync.api_calls where path = '/organizations'"
            assert await here.rows(probes) == [{"finished_at": None}]
            held = "select key from zohosync.records where lease_until is not null"
            assert await here.rows(held) == []
            here.sandbox.set_faults(Faults())
            await here.clock.sleep(90.0)  # it fails, and the next one does not
            assert [row["display_name"] for row in here.sandbox.ledger.records("customers")] == [
                "Ann"
            ]

    run(main)


def test_what_the_keeper_does_besides_holds_up_no_rescue_when_it_fails(database_url: str) -> None:
    async def fails() -> None:
        raise DatabaseError("usage cannot be written")

    async def main() -> int:
        clock = VirtualClock()
        sandbox = Sandbox(clock=clock, chance=Chance(7), limits=SandboxLimits.lifted())
        database = await Database.open(database_url, now=clock.now)
        async with world(database, MAPPING, sandbox, clock=clock) as joined:
            await joined.source.mark_all("customers", priority=5)
            await joined.records.fold_marks()
            await joined.records.claim(1)
            keeper = Keeper(
                records=joined.records, presence=joined.service.presence, remote=joined.remote,
                clock=clock, tell=lambda _: None, wake=lambda: None, besides=fails,
            )  # fmt: skip
            async with asyncio.TaskGroup() as tasks:
                keeping = tasks.create_task(keeper.run())
                await clock.sleep(30.0)
                keeping.cancel()
            left = len(await joined.records.claim(1))
        await database.close()
        return left

    assert run(main) == 1
