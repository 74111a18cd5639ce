"""The sweep: finds what no trigger saw, counts a changed mapping first, and spends no call."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from brake_kit import (
    MAPPING,
    SETTINGS,
    book,
    endings,
    inactive,
    mark_all,
    paused,
    sql,
    statuses,
    unlimited,
    until_idle,
    warnings,
    write,
)
from zohosync.engine.sweep import survey
from zohosync.sandbox import Sandbox, serving
from zohosync.store.database import Database
from zohosync.store.sweeps import Sweeps
from zohosync.testing.world import World, WorldSettings, world

sandbox = unlimited
LOUDER = {
    "customers": MAPPING["customers"].replace("p.name as", "lower(p.name) as"),
}
NOTHING = {"customers": MAPPING["customers"] + " where false"}
HALF = {"customers": MAPPING["customers"] + " where p.id % 2 = 0"}
TWICE = {"customers": f"{MAPPING['customers']} union all {MAPPING['customers']}"}


@asynccontextmanager
async def again(
    database: Database,
    sandbox: Sandbox,
    mapping: Mapping[str, str],
    settings: WorldSettings = SETTINGS,
) -> AsyncIterator[World]:
    """The same book, worked on by a process that starts with this mapping."""
    async with (
        serving(sandbox) as url,
        world(database, mapping, sandbox, url=url, settings=settings) as joined,
    ):
        yield joined


async def due_now(database: Database) -> None:
    """The last sweep was long ago."""
    await write(database, "update zohosync.organizations set swept_at = '2020-01-01'")


def updates(sandbox: Sandbox) -> int:
    return sum(each.operation.startswith("PUT ") for each in sandbox.ledger.requests)


async def test_a_sweep_marks_what_differs_is_new_or_is_gone_and_nothing_else(
    database: Database, sandbox: Sandbox
) -> None:
    async with book(database, sandbox, 40) as joined:
        await write(
            database,
            "update people set name = 'Ada' where id = 1; delete from people where id = 2;"
            "insert into people values (41, 'New', 'new@example.com')",
        )
        before = await sql(database, "select key, version from zohosync.records")
        calls = len(sandbox.ledger.requests)
        await due_now(database)
        await until_idle(joined)
        after = await sql(database, "select key, version from zohosync.records")
    grown = {row["key"]: row["version"] for row in after}
    known = {row["key"]: row["version"] for row in before}
    assert {key for key, version in grown.items() if version != known.get(key)} == {"1", "2", "41"}
    assert len(sandbox.ledger.requests) == calls + 3  # an update, an ending, a create
    rows = sandbox.ledger.records("customers")
    assert {row["display_name"] for row in rows if row["status"] == "active"} >= {"Ada", "New"}


async def test_a_second_sweep_of_the_same_night_is_not_made(
    database: Database, sandbox: Sandbox
) -> None:
    async with book(database, sandbox, 3) as joined:
        await due_now(database)
        await until_idle(joined)
        await write(database, "update people set name = 'Ada' where id = 1")
        await until_idle(joined)
    assert updates(sandbox) == 0


async def test_a_mapping_edit_that_touches_a_hundred_records_goes_on(
    database: Database, sandbox: Sandbox
) -> None:
    async with book(database, sandbox, 100):
        pass
    async with again(database, sandbox, LOUDER) as joined:
        await until_idle(joined)
    assert updates(sandbox) == 100
    assert await paused(database) == []


async def test_a_mapping_edit_that_touches_one_more_is_stopped_before_the_first(
    database: Database, sandbox: Sandbox
) -> None:
    async with book(database, sandbox, 101):
        pass
    await mark_all(database)  # as a backfill would, so that all of them are due
    async with again(database, sandbox, LOUDER) as joined:
        await until_idle(joined)
        assert len(warnings(joined, "101 records")) == 1
    assert updates(sandbox) == 0
    assert await paused(database) == ["customers"]
    rows = await sql(database, "select target, why from zohosync.audit where act = 'brake'")
    assert len(rows) == 1
    assert "101" in rows[0]["why"]
    async with again(database, sandbox, LOUDER) as joined:  # a restart lets nothing through
        await until_idle(joined)
    assert updates(sandbox) == 0


async def test_an_edit_that_changes_no_payload_costs_nothing(
    database: Database, sandbox: Sandbox
) -> None:
    async with book(database, sandbox, 120):
        pass
    calls = len(sandbox.ledger.requests)
    plain = {"customers": "/* the same */ " + MAPPING["customers"]}
    async with again(database, sandbox, plain) as joined:
        await until_idle(joined)
    assert len(sandbox.ledger.requests) == calls
    assert await paused(database) == []
    assert await statuses(database) == {"synced": 120}


async def test_a_worker_with_the_older_mapping_leaves_the_kind_alone(
    database: Database, sandbox: Sandbox
) -> None:
    async with book(database, sandbox, 3) as older:
        async with again(database, sandbox, LOUDER) as newer:
            await until_idle(newer)
        assert updates(sandbox) == 3
        await mark_all(database)
        assert await older.records.fold_marks() == 3
        assert await older.records.claim(10) == []


async def test_a_mapping_that_returns_nothing_ends_twenty_at_most(
    database: Database, sandbox: Sandbox
) -> None:
    async with book(database, sandbox, 60):
        pass
    async with again(database, sandbox, NOTHING) as joined:
        await until_idle(joined)
        assert warnings(joined, "60 gone")
    assert endings(sandbox) == 20
    assert await paused(database) == ["customers"]


async def test_a_mapping_that_returns_nothing_of_a_big_book_ends_none(
    database: Database, sandbox: Sandbox
) -> None:
    async with book(database, sandbox, 120):
        pass
    async with again(database, sandbox, NOTHING) as joined:
        await until_idle(joined)
    assert endings(sandbox) == 0
    assert await paused(database) == ["customers"]


async def test_a_mapping_that_gives_every_row_another_key_ends_none(
    database: Database, sandbox: Sandbox
) -> None:
    async with book(database, sandbox, 30):
        pass
    keys = {"customers": MAPPING["customers"].replace("p.id as key", "'c' || p.id as key")}
    async with again(database, sandbox, keys) as joined:
        org_id, policy = sandbox.organization_id, joined.worker._settings.policy
        sweeps = Sweeps(database, joined.source, org_id=org_id, worker="a person")
        foreseen = await survey(sweeps, "customers", policy, moving=True)
        assert (foreseen.endings, foreseen.found) == ([], {"gone": 30, "new": 30})
        await until_idle(joined)
    assert (endings(sandbox), inactive(sandbox), await paused(database)) == (0, 0, [])
    links = "select key, zoho_id from zohosync.records where zoho_id is not null"
    assert {row["key"] for row in await sql(database, links)} == {f"c{n}" for n in range(1, 31)}
    assert len(sandbox.ledger.records("customers")) == 30


async def test_a_mapping_that_returns_half_ends_twenty_at_most(
    database: Database, sandbox: Sandbox
) -> None:
    async with book(database, sandbox, 60):
        pass
    async with again(database, sandbox, HALF) as joined:
        await until_idle(joined)
    assert endings(sandbox) == 20
    assert await paused(database) == ["customers"]


async def test_a_mapping_that_returns_everything_twice_is_named_and_nothing_is_sent(
    database: Database, sandbox: Sandbox
) -> None:
    async with book(database, sandbox, 30):
        pass
    calls = len(sandbox.ledger.requests)
    async with again(database, sandbox, TWICE) as joined:
        await until_idle(joined)
        assert warnings(joined, "30 more than once")
    assert len(sandbox.ledger.requests) == calls
    assert await statuses(database) == {"failed": 30}


async def test_row_level_security_that_is_switched_on_is_named_and_ends_nothing(
    database: Database, database_url: str, sandbox: Sandbox
) -> None:
    """The table hides its rows from who reads them: an error, never an empty table."""
    async with book(database, sandbox, 30) as joined:
        await write(
            database,
            "create role secluded login; grant select on people to secluded;"
            "alter table people enable row level security",
        )
        secluded = await Database.open(database_url.replace("postgres@", "secluded@"))
        joined.source._database = secluded
        await due_now(database)
        await until_idle(joined)
        assert warnings(joined, "row-level security")
        assert await statuses(database) == {"synced": 30}
        await mark_all(database)
        await until_idle(joined)
        assert await statuses(database) == {"failed": 30}
        await secluded.close()
        await write(database, "drop owned by secluded; drop role secluded")
    assert endings(sandbox) == 0
    assert await paused(database) == []


async def test_a_mapping_that_fails_is_told_and_changes_nothing(
    database: Database, sandbox: Sandbox
) -> None:
    async with book(database, sandbox, 30) as joined:
        await write(database, "alter table people rename to folk")
        await due_now(database)
        await until_idle(joined)
        assert warnings(joined, "could not be read to its end")
        assert await statuses(database) == {"synced": 30}
    assert endings(sandbox) == 0
