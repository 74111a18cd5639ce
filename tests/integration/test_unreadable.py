"""A row that cannot be read for a while: nothing of it is forgotten meanwhile."""

import asyncio

from zohosync.clock import Chance
from zohosync.sandbox import Sandbox, SandboxLimits
from zohosync.store.database import Database
from zohosync.testing.virtual import VirtualClock, run
from zohosync.testing.world import World, WorldSettings, world

MAPPING = {
    "customers": "select p.id as key, p.name as display_name, p.email, "
    "1 / p.readable as department from people p"
}


def test_who_was_unreadable_then_gone_and_comes_back_is_not_somebody_else(
    database_url: str,
) -> None:
    async def step(joined: World, text: str) -> str:
        async with joined.database.transaction() as transaction:
            await transaction.execute_sql(f"{text}; select zohosync.mark('customers', '1', 10)")
        await joined.service.run_until_idle(asyncio.Event(), poll_s=20.0)
        async with joined.database.transaction() as transaction:
            (row,) = await transaction.fetch_sql("select status from zohosync.records")
        return str(row["status"])

    async def main() -> tuple[list[str], Sandbox]:
        clock = VirtualClock()
        sandbox = Sandbox(clock=clock, chance=Chance(7), limits=SandboxLimits.lifted())
        database = await Database.open(database_url, now=clock.now)
        async with database.transaction() as transaction:
            await transaction.execute_sql(
                "create table people (id integer primary key, name text, email text, readable int)"
            )
        settings = WorldSettings(pace=30.0).working(lease_s=120.0, heartbeat_s=30.0, poll_s=5.0)
        ada = "insert into people values (1, 'Ada', 'ada@example.com', 1)"
        async with world(database, MAPPING, sandbox, clock=clock, settings=settings) as joined:
            found = [
                await step(joined, text)
                for text in (ada, "update people set readable = 0", "delete from people", ada)
            ]
        await database.close()
        return found, sandbox

    statuses, sandbox = run(main)
    assert statuses == ["synced", "failed", "skipped", "synced"]
    assert len(sandbox.ledger.records("customers")) == 1
