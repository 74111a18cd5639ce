"""What Zoho has lost: a child finds out and waits, the parent is looked up, and many stop all."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from zohosync.clock import Chance
from zohosync.sandbox import Sandbox, SandboxLimits
from zohosync.store.database import Database
from zohosync.testing.virtual import VirtualClock, run
from zohosync.testing.world import World, WorldSettings, world

MAPPING = {
    "products": "select 1 as key, 'Hosting' as name",
    "plans": "select 1 as key, 1 as product_key, 'gold' as plan_code, 'Gold' as name, "
    "100 as recurring_price, 1 as interval",
    "customers": "select p.id as key, p.name as display_name, p.email from people p",
    "subscriptions": 'select 1 as key, 1 as customer_key, 1 as plan_key, 1 as "plan.quantity"',
}
SCHEMA = """
create table people (id integer primary key, name text, email text);
insert into people select n, 'Ada ' || n, 'ada' || n || '@example.com'
  from generate_series(1, 6) as n;
"""
Story = Callable[[World, Sandbox], Awaitable[None]]


def tell(url: str, story: Story) -> Sandbox:
    """Run a story in virtual time; returns the sandbox for a last look."""

    async def main() -> Sandbox:
        clock = VirtualClock()
        limits = SandboxLimits(per_minute=None, in_flight=None, per_day=None)
        sandbox = Sandbox(clock=clock, chance=Chance(7), limits=limits)
        database = await Database.open(url, now=clock.now)
        async with database.transaction() as transaction:
            await transaction.execute_sql(SCHEMA)
        settings = WorldSettings(pace=30.0).working(debounce_s=0.0)
        async with world(database, MAPPING, sandbox, clock=clock, settings=settings) as joined:
            await story(joined, sandbox)
        await database.close()
        return sandbox

    return run(main)


async def mark(joined: World, kind: str, *keys: int) -> None:
    """Mark these records, and work until nothing is left to do."""
    async with joined.database.transaction() as transaction:
        for key in keys:
            await transaction.execute_sql(f"select zohosync.mark('{kind}', '{key}')")
    await joined.service.run_until_idle(asyncio.Event(), poll_s=20.0)


async def row(joined: World, kind: str, key: str = "1") -> dict[str, Any]:
    async with joined.database.transaction() as transaction:
        rows = await transaction.fetch_sql(
            "select * from zohosync.records where kind = %(kind)s and key = %(key)s",
            {"kind": kind, "key": key},
        )
    return rows[0]


def lose(sandbox: Sandbox, *names: str) -> None:
    """Somebody deletes these customers by hand."""
    customers = sandbox.books.customers
    for lost in [each for each in customers.rows.values() if each["display_name"] in names]:
        customers.drop(lost)


def test_a_child_whose_parent_zoho_has_lost_waits_on_it_and_the_parent_says_so(
    database_url: str,
) -> None:
    async def story(joined: World, sandbox: Sandbox) -> None:
        await mark(joined, "customers", 1)
        lose(sandbox, "Ada 1")
        await mark(joined, "subscriptions", 1)
        child, parent = await row(joined, "subscriptions"), await row(joined, "customers")
        assert (child["status"], child["waiting_kind"]) == ("waiting", "customers")
        assert (parent["status"], parent["error_class"]) == ("failed", "not_found")
        calls = len(sandbox.ledger.requests)
        await mark(joined, "subscriptions", 1)  # no call is spent while the parent is lost
        assert len(sandbox.ledger.requests) == calls
        assert (await row(joined, "subscriptions"))["status"] == "waiting"

    sandbox = tell(database_url, story)
    assert sandbox.ledger.records("subscriptions") == []


def test_a_parent_that_is_there_after_all_wakes_its_child(
    database_url: str,
) -> None:
    async def story(joined: World, sandbox: Sandbox) -> None:
        await mark(joined, "customers", 1)
        await mark(joined, "plans", 1)
        (plan,) = sandbox.books.plans.rows
        sandbox.books.plans.rows["hidden"] = sandbox.books.plans.rows.pop(plan)
        (customer,) = sandbox.books.customers.rows.values()
        await mark(joined, "subscriptions", 1)
        parent = await row(joined, "plans")
        assert (parent["status"], parent["error_class"]) == ("failed", "not_found")
        sandbox.books.plans.rows[plan] = sandbox.books.plans.rows.pop("hidden")
        await mark(joined, "plans", 1)  # restored in Zoho, and somebody asks again
        assert (await row(joined, "plans"))["status"] == "synced"
        assert (await row(joined, "subscriptions"))["status"] == "synced"
        assert customer["customer_id"] == (await row(joined, "customers"))["zoho_id"]

    sandbox = tell(database_url, story)
    assert len(sandbox.ledger.records("subscriptions")) == 1


def test_five_links_that_lead_nowhere_within_ten_minutes_pause_the_organization(
    database_url: str,
) -> None:
    async def story(joined: World, sandbox: Sandbox) -> None:
        await mark(joined, "customers", *range(1, 7))
        lose(sandbox, *(f"Ada {number}" for number in range(1, 7)))
        async with joined.database.transaction() as transaction:
            await transaction.execute_sql("update people set email = 'new' || email")
        await mark(joined, "customers", 1, 2, 3, 4)
        assert [(await row(joined, "customers", str(key)))["status"] for key in range(1, 5)] == [
            "failed"
        ] * 4
        async with joined.database.transaction() as transaction:
            await transaction.execute_sql("select zohosync.mark('customers', '5')")
        await joined.service.run_until_idle(asyncio.Event(), poll_s=20.0)
        async with joined.database.transaction() as transaction:
            (organization,) = await transaction.fetch_sql("select * from zohosync.organizations")
        assert "5 linked records are no longer in Zoho" in organization["paused"]

    sandbox = tell(database_url, story)
    assert len(sandbox.ledger.records("customers")) <= 6


def test_what_is_left_to_a_person_is_looked_at_again_when_its_row_changes(
    database_url: str,
) -> None:
    async def story(joined: World, _: Sandbox) -> None:
        await mark(joined, "customers", 1)
        async with joined.database.transaction() as transaction:
            await transaction.execute_sql(
                "update zohosync.records set status = 'uncertain', due_at = null"
            )
        await joined.service.run_until_idle(asyncio.Event(), poll_s=20.0)
        assert (await row(joined, "customers"))["status"] == "uncertain"
        await mark(joined, "customers", 1)
        assert (await row(joined, "customers"))["status"] == "synced"

    tell(database_url, story)
