"""The brake on a real Postgres: never one ending too many, whoever works and whatever vanished."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace

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
from zohosync.core.brake import Brake
from zohosync.sandbox import Sandbox, serving
from zohosync.store.brakes import Brakes
from zohosync.store.database import Database
from zohosync.testing.world import world

sandbox = unlimited


async def test_a_row_that_goes_ends_its_record_where_that_is_set(
    database: Database, sandbox: Sandbox
) -> None:
    async with book(database, sandbox, 3) as joined:
        await write(database, "delete from people where id = 2")
        await write(database, "update people set ours = false where id = 3")
        await mark_all(database)
        await until_idle(joined)
    named = {row["display_name"]: row["status"] for row in sandbox.ledger.records("customers")}
    assert named == {"P 1": "active", "P 2": "inactive", "P 3": "inactive"}
    rows = await sql(
        database, "select key, status, gone, error_message from zohosync.records order by key"
    )
    assert [(r["key"], r["status"], r["gone"]) for r in rows] == [
        ("1", "synced", False), ("2", "skipped", True), ("3", "skipped", False),
    ]  # fmt: skip
    assert rows[1]["error_message"] == "gone here"
    assert endings(sandbox) == 2


async def test_a_row_that_comes_back_is_opened_again(database: Database, sandbox: Sandbox) -> None:
    async with book(database, sandbox, 1) as joined:
        await write(database, "update people set ours = false")
        await mark_all(database)
        await until_idle(joined)
        assert inactive(sandbox) == 1
        await write(database, "update people set ours = true")
        await mark_all(database)
        await until_idle(joined)
    assert inactive(sandbox) == 0


async def test_a_truncate_ends_twenty_and_pauses_the_kind(
    database: Database, sandbox: Sandbox
) -> None:
    async with book(database, sandbox, 60) as joined:
        await write(database, "truncate people")
        await mark_all(database)
        await until_idle(joined)
        assert endings(sandbox) == inactive(sandbox) == 20
        assert await paused(database) == ["customers"]
        assert set(await statuses(database)) <= {"skipped", "pending"}
        assert len(warnings(joined)) == 1
    rows = await sql(database, "select act, target, why from zohosync.audit where act = 'brake'")
    assert len(rows) == 1
    assert rows[0]["target"] == "customers"
    assert "zohosync resume customers" in rows[0]["why"]


async def test_a_truncate_changes_nothing_where_nothing_is_set(
    database: Database, sandbox: Sandbox
) -> None:
    async with book(database, sandbox, 30, settings=replace(SETTINGS, when_gone={})) as joined:
        await write(database, "truncate people")
        await mark_all(database)
        await until_idle(joined)
        assert await statuses(database) == {"skipped": 30}
    assert endings(sandbox) == 0


async def test_changes_of_state_are_counted_as_well(database: Database, sandbox: Sandbox) -> None:
    async with book(database, sandbox, 30) as joined:
        await write(database, "update people set active = false")
        await mark_all(database)
        await until_idle(joined)
        assert await paused(database) == ["customers"]
    assert endings(sandbox) == inactive(sandbox) == 20


async def test_many_workers_at_once_let_not_one_more_leave(
    database: Database, sandbox: Sandbox
) -> None:
    settings = replace(SETTINGS, brake=Brake(endings=7))
    async with book(database, sandbox, 80, settings=settings), serving(sandbox) as url:
        await write(database, "truncate people")
        await mark_all(database)
        async with AsyncExitStack() as stack:
            many = [
                await stack.enter_async_context(
                    world(
                        database,
                        MAPPING,
                        sandbox,
                        url=url,
                        settings=settings.working(slots=30),
                    )
                )
                for _ in range(5)
            ]
            async with asyncio.TaskGroup() as tasks:
                for each in many:
                    tasks.create_task(until_idle(each))
            assert sum(len(warnings(each)) for each in many) == 1
    assert endings(sandbox) == inactive(sandbox) == 7


async def test_what_was_let_through_goes_once_and_what_comes_beyond_is_braked_anew(
    database: Database, sandbox: Sandbox
) -> None:
    settings = replace(SETTINGS, brake=Brake(endings=5))
    async with book(database, sandbox, 30, settings=settings) as joined:
        await write(database, "delete from people where id <= 15")
        await mark_all(database)
        await until_idle(joined)
        assert inactive(sandbox) == 5
        still = "select key from zohosync.records where remote_state = 'active' and key::int <= 15"
        rows = await sql(database, still)
        listed = [row["key"] for row in rows]
        assert len(listed) == 10
        brakes = Brakes(database, sandbox.organization_id)
        assert await brakes.release("customers", listed, why="seen") == ()
        await until_idle(joined)
        assert await paused(database) == []
        assert inactive(sandbox) == 15
        await write(database, "delete from people where id = 20")  # nobody saw this one
        await mark_all(database)
        await until_idle(joined)
        assert await paused(database) == ["customers"]
        assert inactive(sandbox) == endings(sandbox) == 15
        assert await brakes.release("customers", ["20"], why="seen") == ()
        await until_idle(joined)
    assert inactive(sandbox) == 16
    assert await statuses(database) == {"skipped": 16, "synced": 14}
