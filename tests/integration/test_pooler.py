"""The whole path through a transaction pooler: nothing of ours may depend on session state."""

import asyncio

from zohosync.clock import Chance, SystemClock
from zohosync.sandbox import Fault, Faults, Sandbox, SandboxLimits
from zohosync.store.capture import Watch, install_watches
from zohosync.store.database import Database
from zohosync.testing.world import WorldSettings, world

MAPPING = {"customers": "select id as key, name as display_name, email from people"}
SCHEMA = "create table people (id integer primary key, name text, email text)"


async def test_records_come_into_step_through_a_transaction_pooler(pgbouncer_url: str) -> None:
    database = await Database.open(pgbouncer_url)
    async with database.transaction() as transaction:
        await transaction.execute_sql(SCHEMA)
    watches = [Watch("public.people", "customers", key="id")]
    await install_watches(database, watches, clock=SystemClock())
    sandbox = Sandbox(
        clock=SystemClock(),
        chance=Chance(7),
        limits=SandboxLimits.lifted(),
        faults=Faults([Fault("lost_reply", "POST /customers", nth=5)]),
    )
    settings = WorldSettings().working(debounce_s=0.0)
    async with world(database, MAPPING, sandbox, settings=settings) as joined:
        async with database.transaction() as transaction:
            await transaction.execute_sql(
                "insert into people select n, 'Person ' || n, n || '@example.com' "
                "from generate_series(1, 40) n"
            )
        async with asyncio.timeout(60):
            await joined.service.run_until_idle(asyncio.Event(), poll_s=0.1)
        async with database.transaction() as transaction:
            rows = await transaction.fetch_sql("select distinct status from zohosync.records")
    await database.close()
    assert [row["status"] for row in rows] == ["synced"]
    assert len(sandbox.ledger.records("customers")) == 40
