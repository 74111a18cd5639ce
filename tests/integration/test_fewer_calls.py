"""A thousand edits of fifty records cost a hundred calls, and what has not changed costs none."""

import asyncio

import pytest

from zohosync.clock import Chance
from zohosync.core.records import BULK
from zohosync.sandbox import Sandbox, SandboxLimits
from zohosync.store.database import Database
from zohosync.testing.virtual import VirtualClock, run
from zohosync.testing.world import WorldSettings, world

RECORDS, EDITS, WITHIN_S = 50, 1_000, 300.0
TABLE = """
create table public.people (id integer primary key, phone text);
insert into public.people select n, '0' from generate_series(1, 50) n
"""
MAPPING = {
    "customers": "select p.id as key, 'P ' || p.id as display_name, p.phone,"
    " 'p@example.com' as email from public.people p"
}
EDIT = """
with edited as (update public.people set phone = %(phone)s where id = %(id)s)
select zohosync.mark('customers', %(id)s::text, 5)
"""
REST = """
select (select count(*) from zohosync.marks)
     + (select count(*) from zohosync.records where version > synced_version) as left
"""


async def at_rest(database: Database, clock: VirtualClock) -> None:
    for _ in range(600):
        await clock.sleep(2.0)
        async with database.transaction() as transaction:
            (row,) = await transaction.fetch_sql(REST)
        if not row["left"]:
            return
    pytest.fail(f"{row['left']} marks and records are left after 20 minutes")


def test_a_thousand_edits_of_fifty_records_are_a_hundred_calls_and_none_is_lost(
    database_url: str,
) -> None:
    async def main() -> None:
        clock = VirtualClock()
        sandbox = Sandbox(clock=clock, chance=Chance(7), limits=SandboxLimits.lifted())
        database = await Database.open(database_url, now=clock.now)
        async with database.transaction() as transaction:
            await transaction.execute_sql(TABLE)
        settings = WorldSettings(pace=20.0)
        settings = settings.working(lease_s=60.0, heartbeat_s=20.0, debounce_s=300.0)
        async with world(database, MAPPING, sandbox, clock=clock, settings=settings) as joined:
            stop = asyncio.Event()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(joined.service.run(stop))
                await joined.source.mark_all("customers", priority=BULK)
                await at_rest(database, clock)
                calls = sandbox.ledger.calls
                assert len(calls()) == RECORDS

                await joined.source.mark_all("customers", priority=BULK)
                await at_rest(database, clock)
                assert len(calls()) == RECORDS, "nothing has changed"

                await clock.sleep(600.0)
                chance, phones = Chance(17), dict[int, str]()
                began_s = clock.monotonic()
                for at_s in sorted(WITHIN_S * chance.random() for _ in range(EDITS)):
                    await clock.sleep(max(0.0, began_s + at_s - clock.monotonic()))
                    one = chance.integer(1, RECORDS)
                    phones[one] = f"{at_s:.6f}"
                    async with database.transaction() as transaction:
                        await transaction.execute_sql(EDIT, {"id": one, "phone": phones[one]})
                await clock.sleep(max(0.0, began_s + WITHIN_S - clock.monotonic()))
                assert len(calls()) - RECORDS <= RECORDS
                await at_rest(database, clock)
                assert len(calls()) - RECORDS <= 2 * RECORDS
                there = {
                    int(row["display_name"].split()[1]): row["phone"]
                    for row in sandbox.ledger.records("customers")
                }
                assert there == phones
                stop.set()
        await database.close()

    run(main)
