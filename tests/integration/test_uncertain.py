"""What becomes of a write whose reply is lost, through its long waits, in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from zohosync.clock import Chance
from zohosync.sandbox import Fault, Faults, Sandbox, SandboxLimits
from zohosync.store.database import Database
from zohosync.testing.virtual import VirtualClock, run
from zohosync.testing.world import World, WorldSettings, world

MAPPING = {
    "customers": "select p.id as key, p.name as display_name, p.email, "
    "case when p.gone then 'inactive' else 'active' end as state from people p",
}
SCHEMA = """
create table people (id integer primary key, name text, email text, gone boolean default false);
insert into people values (1, 'Ada', 'ada@example.com');
select zohosync.mark('customers', '1');
"""
Story = Callable[[World, Sandbox, VirtualClock], Awaitable[None]]


def tell(url: str, *faults: Fault, story: Story) -> Sandbox:
    """Run a story in virtual time; returns the sandbox for a last look."""

    async def main() -> Sandbox:
        clock = VirtualClock()
        sandbox = Sandbox(
            clock=clock,
            chance=Chance(7),
            limits=SandboxLimits(per_minute=None, in_flight=None, per_day=None),
            faults=Faults(faults),
        )
        database = await Database.open(url, now=clock.now)
        async with database.transaction() as transaction:
            await transaction.execute_sql(SCHEMA)
        settings = WorldSettings(pace=30.0).working(
            slots=4, lease_s=120.0, heartbeat_s=30.0, poll_s=5.0
        )
        async with world(database, MAPPING, sandbox, clock=clock, settings=settings) as joined:
            await story(joined, sandbox, clock)
        await database.close()
        return sandbox

    return run(main)


async def until_idle(joined: World) -> None:
    await joined.service.run_until_idle(asyncio.Event(), poll_s=20.0)


async def edit(joined: World, text: str) -> None:
    async with joined.database.transaction() as transaction:
        await transaction.execute_sql(text + "; select zohosync.mark('customers', '1')")


def test_a_create_that_never_arrived_is_made_after_two_look_ups_half_an_hour_apart(
    database_url: str,
) -> None:
    async def story(joined: World, _: Sandbox, clock: VirtualClock) -> None:
        started = clock.monotonic()
        await until_idle(joined)
        assert clock.monotonic() - started > 1_800

    # Cut off before anything was done, but after the request had left: nobody can know.
    sandbox = tell(database_url, Fault("reset", "POST /customers"), story=story)
    posts = sandbox.ledger.calls("POST /customers")
    assert len(sandbox.ledger.records("customers")) == 1
    assert len(posts) == 2
    looks = sandbox.ledger.calls("GET /customers")
    apart = [(look.at - posts[0].at).total_seconds() for look in looks]
    assert len(apart) == 3
    assert apart[0] < 60
    assert apart[1] >= 600
    assert apart[2] >= apart[1] + 1_200


@pytest.mark.parametrize("late_s", [20.0, 100.0, 300.0])
def test_a_create_that_commits_long_after_our_time_limit_is_adopted(
    database_url: str, late_s: float
) -> None:
    fault = Fault("late_commit", "POST /customers", seconds=late_s)
    sandbox = tell(database_url, fault, story=lambda joined, *_: until_idle(joined))
    assert len(sandbox.ledger.records("customers")) == 1
    assert len(sandbox.ledger.calls("POST /customers")) == 1


def test_a_create_that_the_lists_do_not_show_yet_is_adopted_once_they_do(
    database_url: str,
) -> None:
    faults = (
        Fault("lost_reply", "POST /customers"),
        Fault("stale_list", "GET /customers", times=2, seconds=900.0),
    )
    sandbox = tell(database_url, *faults, story=lambda joined, *_: until_idle(joined))
    assert len(sandbox.ledger.records("customers")) == 1
    assert len(sandbox.ledger.calls("POST /customers")) == 1


def test_an_old_update_that_commits_late_does_not_undo_a_newer_one(database_url: str) -> None:
    async def story(joined: World, sandbox: Sandbox, clock: VirtualClock) -> None:
        await until_idle(joined)
        sandbox.set_faults(Faults([Fault("late_commit", "PUT /customers*", seconds=280.0)]))
        await clock.sleep(400)
        await edit(joined, "update people set name = 'Old'")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(until_idle(joined))
            await clock.sleep(60)
            await edit(joined, "update people set name = 'New'")

    sandbox = tell(database_url, story=story)
    assert [row["display_name"] for row in sandbox.ledger.records("customers")] == ["New"]


def test_a_mark_or_a_delete_while_a_create_is_uncertain_does_not_lead_to_a_second_one(
    database_url: str,
) -> None:
    async def story(joined: World, _: Sandbox, clock: VirtualClock) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(until_idle(joined))
            await clock.sleep(100)
            await edit(joined, "update people set name = 'Ada King'")
            await clock.sleep(100)
            await edit(joined, "delete from people")
            await clock.sleep(500)
            await edit(joined, "insert into people values (1, 'Ada King', 'ada@example.com')")
        await until_idle(joined)

    fault = Fault("late_commit", "POST /customers", seconds=290.0)
    sandbox = tell(database_url, fault, story=story)
    rows = sandbox.ledger.records("customers")
    assert [row["display_name"] for row in rows] == ["Ada King"]
    assert len(sandbox.ledger.calls("POST /customers")) == 1


def test_edits_within_five_minutes_of_a_success_are_one_call_and_the_last_one_wins(
    database_url: str,
) -> None:
    async def story(joined: World, _: Sandbox, clock: VirtualClock) -> None:
        await until_idle(joined)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(until_idle(joined))
            for turn in range(50):
                await edit(joined, f"update people set name = 'Ada {turn}'")
                await clock.sleep(5)

    sandbox = tell(database_url, story=story)
    assert [row["display_name"] for row in sandbox.ledger.records("customers")] == ["Ada 49"]
    assert len(sandbox.ledger.calls("PUT /customers/{customer_id}")) == 1


def test_five_overload_failures_mark_the_organisation_down_and_one_probe_finds_it_up(
    database_url: str,
) -> None:
    async def story(joined: World, _: Sandbox, clock: VirtualClock) -> None:
        async with joined.database.transaction() as transaction:
            await transaction.execute_sql(
                "insert into people select n, 'P' || n, 'p' || n || '@example.com' "
                "from generate_series(2, 30) n; select zohosync.mark('customers', n::text) "
                "from generate_series(2, 30) n"
            )
        await until_idle(joined)
        async with joined.database.transaction() as transaction:
            rows = await transaction.fetch_sql("select distinct status from zohosync.records")
        assert [row["status"] for row in rows] == ["synced"]

    fault = Fault("error_before_commit", "*customers*", times=9)
    sandbox = tell(database_url, fault, story=story)
    assert len(sandbox.ledger.records("customers")) == 30
    assert sandbox.ledger.calls("GET /organizations") != []
