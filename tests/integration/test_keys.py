"""A key that comes back as somebody else: refused, however often it is asked for."""

import asyncio
from collections.abc import Awaitable, Callable

from zohosync.clock import Chance
from zohosync.sandbox import Fault, Faults, Sandbox, SandboxLimits
from zohosync.store.database import Database
from zohosync.testing.virtual import VirtualClock, run
from zohosync.testing.world import World, WorldSettings, world

MAPPING = {
    "customers": "select p.id as key, p.name as display_name, p.email, p.ours as eligible "
    "from people p",
}
TABLE = "create table people (id integer primary key, name text, email text, ours boolean)"
ADA = "insert into people values (1, 'Ada', 'ada@example.com', true)"
BOB = "insert into people values (1, 'Bob', 'bob@example.com', true)"
Story = Callable[[World, Sandbox, VirtualClock], Awaitable[None]]


def tell(url: str, story: Story) -> list[str]:
    """Run a story in virtual time; returns the names that Zoho has in the end."""

    async def main() -> list[str]:
        clock = VirtualClock()
        sandbox = Sandbox(clock=clock, chance=Chance(7), limits=SandboxLimits.lifted())
        database = await Database.open(url, now=clock.now)
        async with database.transaction() as transaction:
            await transaction.execute_sql(TABLE)
        settings = WorldSettings(pace=30.0).working(lease_s=120.0, heartbeat_s=30.0, poll_s=5.0)
        async with world(database, MAPPING, sandbox, clock=clock, settings=settings) as joined:
            await story(joined, sandbox, clock)
        await database.close()
        return names(sandbox)

    return run(main)


async def edit(joined: World, *texts: str) -> None:
    async with joined.database.transaction() as transaction:
        for text in (*texts, "select zohosync.mark('customers', '1')"):
            await transaction.execute_sql(text)


async def settled(joined: World, *texts: str) -> tuple[str, str]:
    """Change the row, have its record brought into step; its status and how its error begins."""
    await edit(joined, *texts)
    await joined.service.run_until_idle(asyncio.Event(), poll_s=20.0)
    async with joined.database.transaction() as transaction:
        (row,) = await transaction.fetch_sql("select status, error_message from zohosync.records")
    return row["status"], (row["error_message"] or "")[:11]


def names(sandbox: Sandbox) -> list[str]:
    return [str(row["display_name"]) for row in sandbox.ledger.records("customers")]


def test_a_key_that_is_somebody_else_now_stays_refused_when_it_is_tried_again(
    database_url: str,
) -> None:
    async def story(joined: World, sandbox: Sandbox, _: VirtualClock) -> None:
        assert await settled(joined, ADA) == ("synced", "")
        assert await settled(joined, "delete from people") == ("skipped", "gone here")
        for change in (BOB, "select 1", "update people set name = 'Bobby'"):
            assert await settled(joined, change) == ("failed", "key re-used")
            assert names(sandbox) == ["Ada"]
        assert await settled(joined, "update people set ours = false") == ("skipped", "not eligibl")
        assert await settled(joined, "update people set ours = true") == ("failed", "key re-used")
        assert (await settled(joined, "delete from people", ADA))[0] == "synced"
        assert (await settled(joined, "update people set name = 'Ada King'"))[0] == "synced"

    assert tell(database_url, story) == ["Ada King"]


def test_who_had_the_key_is_remembered_while_a_lost_update_is_looked_up(
    database_url: str,
) -> None:
    async def story(joined: World, sandbox: Sandbox, clock: VirtualClock) -> None:
        await settled(joined, ADA)
        lost = Fault("reset", "PUT /customers*")
        sandbox.set_faults(Faults([lost]))
        await clock.sleep(400)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(settled(joined, "update people set name = 'Ada King'"))
            await clock.sleep(100)
            await edit(joined, "delete from people")
        for change in (BOB, "select 1"):
            assert await settled(joined, change) == ("failed", "key re-used")

    assert tell(database_url, story) == ["Ada"]
