"""One customer, end to end, on real sockets: mark, claim, create, reply lost, verify, adopt."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from zohosync.clock import Chance, SystemClock
from zohosync.core.records import Ref
from zohosync.sandbox import Fault, Faults, Sandbox, SandboxLimits, serving
from zohosync.store.database import Database
from zohosync.testing.world import World, WorldSettings, world

SCHEMA = """
create table people (id integer primary key, name text, email text, gone boolean default false);
"""
MAPPING = {
    "customers": "select p.id as key, p.name as display_name, p.email, "
    "case when p.gone then 'inactive' else 'active' end as state from people p",
}
FAST = WorldSettings().working(debounce_s=0.0)


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox(
        clock=SystemClock(),
        chance=Chance(7),
        time_zone="Africa/Johannesburg",
        limits=SandboxLimits(per_minute=None, in_flight=None, per_day=None),
    )


@pytest.fixture
async def here(database: Database, sandbox: Sandbox) -> AsyncIterator[World]:
    async with database.transaction() as transaction:
        await transaction.execute_sql(SCHEMA)
    async with (
        serving(sandbox) as url,
        world(database, MAPPING, sandbox, url=url, settings=FAST) as joined,
    ):
        yield joined


async def write(database: Database, text: str, *marks: str) -> None:
    async with database.transaction() as transaction:
        await transaction.execute_sql(text)
        for key in marks:
            await transaction.execute_sql(f"select zohosync.mark('customers', '{key}')")


async def until_idle(joined: World) -> None:
    async with asyncio.timeout(30):
        await joined.service.run_until_idle(asyncio.Event(), poll_s=0.05)


async def status_of(database: Database, key: str) -> tuple[str, str | None, str | None]:
    async with database.transaction() as transaction:
        rows = await transaction.fetch_sql(
            "select status, zoho_id, error_message from zohosync.records where key = %(key)s",
            {"key": key},
        )
    return rows[0]["status"], rows[0]["zoho_id"], rows[0]["error_message"]


ADA = "insert into people values (1, 'Ada', 'ada@example.com')"


async def test_a_row_becomes_exactly_one_customer(here: World, sandbox: Sandbox) -> None:
    await write(here.database, ADA, "1")
    await until_idle(here)
    rows = sandbox.ledger.records("customers")
    assert [(row["display_name"], row["email"]) for row in rows] == [("Ada", "ada@example.com")]
    assert await status_of(here.database, "1") == ("synced", rows[0]["customer_id"], None)
    assert len([r for r in sandbox.ledger.requests if r.operation == "POST /customers"]) == 1


async def test_an_unchanged_row_costs_no_call(here: World, sandbox: Sandbox) -> None:
    await write(here.database, ADA, "1")
    await until_idle(here)
    calls = len(sandbox.ledger.requests)
    await write(here.database, "select 1", "1")
    await until_idle(here)
    assert len(sandbox.ledger.requests) == calls


async def test_an_edit_costs_one_call_and_sends_what_differs(here: World, sandbox: Sandbox) -> None:
    await write(here.database, ADA, "1")
    await until_idle(here)
    calls = len(sandbox.ledger.requests)
    await write(here.database, "update people set name = 'Ada King'", "1")
    await until_idle(here)
    assert len(sandbox.ledger.requests) == calls + 1
    assert sandbox.ledger.records("customers")[0]["display_name"] == "Ada King"


async def test_a_change_of_state_is_one_call(here: World, sandbox: Sandbox) -> None:
    await write(here.database, ADA, "1")
    await until_idle(here)
    await write(here.database, "update people set gone = true", "1")
    await until_idle(here)
    assert sandbox.ledger.records("customers")[0]["status"] == "inactive"


@pytest.mark.parametrize("trouble", ["lost_reply", "error_after_commit", "truncated", "without_id"])
async def test_a_create_whose_reply_is_lost_is_found_and_adopted(
    here: World, sandbox: Sandbox, trouble: str
) -> None:
    sandbox.set_faults(Faults([Fault(trouble, "POST /customers")]))
    await write(here.database, ADA, "1")
    await until_idle(here)
    rows = sandbox.ledger.records("customers")
    assert len(rows) == 1
    assert await status_of(here.database, "1") == ("synced", rows[0]["customer_id"], None)


async def test_a_create_that_never_arrived_is_tried_again_at_once(
    here: World, sandbox: Sandbox
) -> None:
    sandbox.set_faults(Faults([Fault("error_before_commit", "POST /oauth*")]))
    await write(here.database, ADA, "1")
    await until_idle(here)
    assert len(sandbox.ledger.records("customers")) == 1


async def test_a_row_without_email_fails_with_its_reason_and_stops_nobody(
    here: World, sandbox: Sandbox
) -> None:
    await write(here.database, ADA + ", (2, 'Nobody', null)", "1", "2")
    await until_idle(here)
    status, zoho_id, message = await status_of(here.database, "2")
    assert (status, zoho_id) == ("failed", None)
    assert message is not None
    assert "email" in message
    assert (await status_of(here.database, "1"))[0] == "synced"
    await write(here.database, "update people set email = 'no@example.com' where id = 2", "2")
    await until_idle(here)
    assert (await status_of(here.database, "2"))[0] == "synced"
    assert len(sandbox.ledger.records("customers")) == 2


async def test_a_row_that_goes_changes_nothing_in_zoho(here: World, sandbox: Sandbox) -> None:
    await write(here.database, ADA, "1")
    await until_idle(here)
    await write(here.database, "delete from people", "1")
    await until_idle(here)
    assert (await status_of(here.database, "1"))[0] == "skipped"
    assert sandbox.ledger.records("customers")[0]["status"] == "active"


async def test_what_no_trigger_saw_is_found_by_the_sweep(here: World, sandbox: Sandbox) -> None:
    await write(here.database, ADA + ", (2, 'Bob', 'bob@example.com')", "1", "2")
    await until_idle(here)
    unseen = "delete from people where id = 2; update people set name = 'Ada King'"
    await write(here.database, unseen + "; insert into people values (3, 'Cid', 'c@example.com')")
    assert await here.source.mark_all("customers", priority=1) == 3
    await until_idle(here)
    names = {row["display_name"] for row in sandbox.ledger.records("customers")}
    assert names == {"Ada King", "Bob", "Cid"}
    assert (await status_of(here.database, "2"))[0] == "skipped"


async def test_a_key_that_comes_back_as_somebody_else_is_not_overwritten(
    here: World, sandbox: Sandbox
) -> None:
    await write(here.database, ADA, "1")
    await until_idle(here)
    await write(here.database, "delete from people", "1")
    await until_idle(here)
    await write(here.database, "insert into people values (1, 'Bob', 'bob@example.com')", "1")
    await until_idle(here)
    status, _, message = await status_of(here.database, "1")
    assert status == "failed"
    assert message is not None
    assert "key re-used" in message
    assert sandbox.ledger.records("customers")[0]["display_name"] == "Ada"


async def test_a_worker_that_dies_after_sending_leaves_one_customer(
    database: Database, sandbox: Sandbox
) -> None:
    """The crash test: the process is gone between Zoho's commit and our own."""
    async with database.transaction() as transaction:
        await transaction.execute_sql(SCHEMA)
    await write(database, ADA, "1")
    short = FAST.working(slots=1, lease_s=0.2)
    async with serving(sandbox) as url:
        async with (
            world(database, MAPPING, sandbox, url=url, settings=short) as dying,
            asyncio.TaskGroup() as tasks,
        ):
            loop = tasks.create_task(dying.gate.run())
            await dying.records.fold_marks()
            claim = (await dying.records.claim(1))[0]
            desired = (await dying.source.desired([claim.ref]))[claim.ref]
            dying.records.settle = never  # type: ignore[assignment,method-assign]
            with pytest.raises(DeadError):
                await dying.worker.attempt(claim, desired, {})
            loop.cancel()
        assert len(sandbox.ledger.records("customers")) == 1
        async with world(database, MAPPING, sandbox, url=url, settings=FAST) as living:
            await until_idle(living)
    rows = sandbox.ledger.records("customers")
    assert len(rows) == 1
    assert await status_of(database, "1") == ("synced", rows[0]["customer_id"], None)


class DeadError(Exception):
    """The process is no more."""


async def never(*_: object) -> None:
    raise DeadError


def test_a_record_is_named_by_kind_and_key() -> None:
    assert str(Ref("customers", "1")) == "customers 1"
