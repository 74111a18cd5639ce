"""A mark that somebody else's transaction holds: the worker waits for it without spinning."""

import asyncio

import psycopg

from zohosync.clock import Chance
from zohosync.sandbox import Sandbox, SandboxLimits
from zohosync.store.database import Database
from zohosync.testing.virtual import VirtualClock, run
from zohosync.testing.world import World, world

SCHEMA = "create table people (id int primary key, name text, email text)"
ROWS = (
    "insert into people select n, 'P' || n, 'p' || n || '@example.com' from generate_series(1, 2) n"
)
MARKS = "select zohosync.mark('customers', n::text) from generate_series(1, 2) n"
MAPPING = {"customers": "select p.id as key, p.name as display_name, p.email from people p"}


def test_a_mark_that_is_held_holds_up_no_other_and_costs_few_questions(database_url: str) -> None:
    async def main() -> Sandbox:
        clock = VirtualClock()
        sandbox = Sandbox(clock=clock, chance=Chance(7), limits=SandboxLimits.lifted())
        database = await Database.open(database_url, now=clock.now)
        async with database.transaction() as transaction:
            await transaction.execute_sql(f"{SCHEMA}; {ROWS}; {MARKS}")
        async with world(database, MAPPING, sandbox, clock=clock) as joined:
            await held(joined, clock, database_url)
        await database.close()
        return sandbox

    sandbox = run(main)
    assert len(sandbox.ledger.records("customers")) == 2


async def held(joined: World, clock: VirtualClock, url: str) -> None:
    stop = asyncio.Event()
    with psycopg.connect(url) as somebody:
        somebody.execute("select from zohosync.marks where key = '1' for update")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(joined.service.run(stop))
            await clock.sleep(5)
            assert (await joined.records.unsettled(0.0))["marks"] == 1
            somebody.commit()
            await clock.sleep(5)
            assert (await joined.records.unsettled(0.0))["marks"] == 0
            stop.set()
