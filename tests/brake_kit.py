"""A book of customers that are in step, for the tests of brake and sweep."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from zohosync.clock import Chance, SystemClock
from zohosync.events import Noted
from zohosync.sandbox import Sandbox, SandboxLimits, serving
from zohosync.store.database import Database, Row
from zohosync.testing.world import World, WorldSettings, world

PEOPLE = """
create table people (id integer primary key, name text, email text, active boolean default true,
                     ours boolean default true);
insert into people select n, 'P ' || n, n || '@example.com' from generate_series(1, {}) n;
"""
MAPPING = {
    "customers": "select p.id as key, p.name as display_name, p.email, p.ours as eligible, "
    "case when p.active then 'active' else 'inactive' end as state from people p",
}
SETTINGS = replace(
    WorldSettings().working(debounce_s=0.0, poll_s=0.05), when_gone={"customers": "inactivate"}
)


@pytest.fixture(name="sandbox")
def unlimited() -> Sandbox:
    """A pretend Zoho that takes whatever comes."""
    return Sandbox(
        clock=SystemClock(),
        chance=Chance(7),
        time_zone="Africa/Johannesburg",
        limits=SandboxLimits(per_minute=None, in_flight=None, per_day=None),
    )


async def sql(database: Database, text: str) -> list[Row]:
    async with database.transaction() as transaction:
        return await transaction.fetch_sql(text)


async def write(database: Database, text: str) -> None:
    async with database.transaction() as transaction:
        await transaction.execute_sql(text)


async def until_idle(joined: World) -> None:
    async with asyncio.timeout(60):
        await joined.service.run_until_idle(asyncio.Event(), poll_s=0.05)


@asynccontextmanager
async def book(
    database: Database,
    sandbox: Sandbox,
    rows: int,
    *,
    settings: WorldSettings = SETTINGS,
    mapping: Mapping[str, str] = MAPPING,
) -> AsyncIterator[World]:
    """So many customers, in step in Zoho."""
    await write(database, PEOPLE.format(rows))
    async with (
        serving(sandbox) as url,
        world(database, mapping, sandbox, url=url, settings=settings) as joined,
    ):
        await mark_all(database)
        await until_idle(joined)
        assert len(sandbox.ledger.records("customers")) == rows
        yield joined


async def mark_all(database: Database) -> None:
    """A mark of every row and of every record, as a trigger or a sweep would leave it."""
    await write(
        database,
        "select zohosync.mark('customers', k) from (select id::text as k from people union "
        "select key from zohosync.records where kind = 'customers') as named",
    )


def inactive(sandbox: Sandbox) -> int:
    return sum(row["status"] == "inactive" for row in sandbox.ledger.records("customers"))


def endings(sandbox: Sandbox) -> int:
    """The calls that Zoho got to end a customer, answered or not."""
    return sum(each.operation.endswith("/markasinactive") for each in sandbox.ledger.requests)


async def paused(database: Database) -> list[str]:
    rows = await sql(database, "select paused_kinds from zohosync.organizations")
    return list(rows[0]["paused_kinds"])


async def statuses(database: Database) -> dict[str, int]:
    rows = await sql(
        database, "select status, count(*)::int as n from zohosync.records group by status"
    )
    return {row["status"]: row["n"] for row in rows}


def warnings(joined: World, words: str = "within an hour") -> list[str]:
    noted = [event for event in joined.events if isinstance(event, Noted)]
    loud = [event.message for event in noted if event.level >= logging.WARNING]
    return [message for message in loud if words in message and not message.startswith("alert: ")]
