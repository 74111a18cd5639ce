"""Invoices that Zoho raises: each is linked to the bill of its own subscription."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

from zohosync.clock import Chance
from zohosync.sandbox import Sandbox, SandboxLimits
from zohosync.store.database import Database
from zohosync.testing.virtual import VirtualClock, run
from zohosync.testing.world import World, WorldSettings, world

SCHEMA = """
create table people (id int primary key, name text, email text);
create table services (id int primary key, person int, quantity int);
create table bills (id int primary key, person int, service int, issued date, total numeric);
insert into people values (1, 'Ada', 'ada@example.com');
-- The first service's quantity was changed after its bill was written.
insert into services values (1, 1, 2), (2, 1, 1);
insert into bills values (1, 1, 1, '2026-11-22', 115), (2, 1, 2, '2026-11-22', 115);
"""
MAPPING = {
    "products": "select 1 as key, 'Access' as name",
    "plans": "select 1 as key, 1 as product_key, 'fibre' as plan_code, 'Fibre' as name, "
    "100 as recurring_price, 1 as interval, 'months' as interval_unit, 'VAT 15' as tax",
    "customers": "select p.id as key, p.name as display_name, p.email from people p",
    "subscriptions": "select s.id as key, s.person as customer_key, 1 as plan_key, "
    "s.quantity as \"plan.quantity\", date '2026-11-22' as starts_at from services s",
    "invoices": "select b.id as key, b.person as customer_key, b.service as subscription_key, "
    "'zoho' as raised_by, 'open' as state, 'B-' || b.id as invoice_number, b.issued as date, "
    "b.total, '[]'::jsonb as invoice_items from bills b",
}
Links = dict[str, str | None]


@asynccontextmanager
async def provider(url: str, *, slots: int) -> AsyncIterator[tuple[World, VirtualClock, Sandbox]]:
    """A provider with two services, ready to run in virtual time."""
    clock = VirtualClock()
    sandbox = Sandbox(clock=clock, chance=Chance(7), limits=SandboxLimits.lifted())
    database = await Database.open(url, now=clock.now)
    async with database.transaction() as transaction:
        await transaction.execute_sql(SCHEMA)
    settings = WorldSettings(pace=30.0).working(
        slots=slots, lease_s=120.0, heartbeat_s=30.0, poll_s=5.0, debounce_s=0.0
    )
    try:
        async with world(database, MAPPING, sandbox, clock=clock, settings=settings) as joined:
            yield joined, clock, sandbox
    finally:
        await database.close()


async def bring(joined: World, *bills: int) -> None:
    """Bring these bills into step, with all that they hang on."""
    async with joined.database.transaction() as transaction:
        for bill in bills:
            await transaction.execute_sql(f"select zohosync.mark('invoices', '{bill}', 10)")
    await joined.service.run_until_idle(asyncio.Event(), poll_s=20.0)


async def sql(joined: World, text: str) -> None:
    async with joined.database.transaction() as transaction:
        await transaction.execute_sql(text)


async def links(joined: World) -> Links:
    """The Zoho id of each bill."""
    async with joined.database.transaction(read_only=True) as transaction:
        rows = await transaction.fetch_sql(
            "select key, zoho_id from zohosync.records where kind = 'invoices' order by key"
        )
    return {row["key"]: row["zoho_id"] for row in rows}


def test_a_bill_never_takes_the_invoice_of_another_subscription(database_url: str) -> None:
    told: list[Links] = []

    async def main() -> Sandbox:
        async with provider(database_url, slots=4) as (joined, clock, sandbox):
            await joined.source.mark_all("subscriptions", priority=10)
            await bring(joined, 1)  # its total is not that of its subscription's invoice
            told.append(await links(joined))
            await bring(joined, 2)
            told.append(await links(joined))
            await sql(joined, "update bills set total = 230 where id = 1")
            await bring(joined, 1)
            told.append(await links(joined))
            await clock.sleep(30 * 86_400)  # the next term: nobody was promised its invoices
            await sql(
                joined,
                "insert into bills select id + 2, person, service, issued + interval '1 month', "
                "total from bills",
            )
            await bring(joined, 3, 4)
            told.append(await links(joined))
        return sandbox

    sandbox = run(main)
    subscriptions = {row["subscription_id"]: row for row in sandbox.ledger.records("subscriptions")}
    invoices: dict[tuple[int, str], Any] = {
        (
            subscriptions[row["subscription_id"]]["plan"]["quantity"],
            row["date"],
        ): row["invoice_id"]
        for row in sandbox.ledger.records("invoices")
    }
    first, second = invoices[2, "2026-11-22"], invoices[1, "2026-11-22"]
    later = {"3": invoices[2, "2026-12-22"], "4": invoices[1, "2026-12-22"]}
    assert told == [
        {"1": None},
        {"1": None, "2": second},
        {"1": first, "2": second},
        {"1": first, "2": second, **later},
    ]
    assert sorted(Decimal(row["total"]) for row in sandbox.ledger.records("invoices")) == [
        115, 115, 230, 230,
    ]  # fmt: skip


def test_a_years_bills_are_found_in_one_list_and_a_later_one_in_its_own(
    database_url: str,
) -> None:
    async def main() -> None:
        async with provider(database_url, slots=12) as (joined, clock, sandbox):
            await sql(joined, "delete from services where id = 1; delete from bills")
            await joined.source.mark_all("subscriptions", priority=10)
            await joined.service.run_until_idle(asyncio.Event(), poll_s=20.0)
            await clock.sleep(335 * 86_400)  # Zoho raises eleven more
            bills = (
                "insert into bills"
                " select n, 1, 2, '2026-11-22'::date + (n - 1) * interval '1 month'"
                ", 115 from generate_series({}) n"
            )
            await sql(joined, bills.format("1, 12"))
            before = len(lists(sandbox))
            await bring(joined, *range(1, 13))
            assert len(set((await links(joined)).values())) == 12
            made = len(lists(sandbox)) - before
            assert made <= 2
            spared = "select sum(reads_saved)::int as spared from zohosync.sync_logs"
            async with joined.database.transaction() as transaction:
                assert await transaction.fetch_sql(spared) == [{"spared": 12 - made}]
            await sql(joined, bills.format("13, 13"))
            await bring(joined, 13)  # what comes later is looked for in a list of its own
            assert len(lists(sandbox)) - before == made + 1

    run(main)


def lists(sandbox: Sandbox) -> list[Any]:
    return [call for call in sandbox.ledger.calls() if call.operation == "GET /invoices"]


def test_two_bills_that_fit_one_invoice_do_not_fail_on_each_other(database_url: str) -> None:
    """Both look in one list and see it free; the second comes to wait for one of its own."""

    async def main() -> Links:
        async with provider(database_url, slots=4) as (joined, clock, _):
            await sql(joined, "delete from services where id = 1; update bills set service = 2")
            await joined.source.mark_all("subscriptions", priority=10)
            await joined.service.run_until_idle(asyncio.Event(), poll_s=20.0)
            stop = asyncio.Event()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(joined.service.run(stop))
                both = "select zohosync.mark('invoices', b.id::text, 10) from bills b"
                await sql(joined, both)
                await clock.sleep(1_800.0)
                stop.set()
            found = await joined.database.fetch("read_reasons", org_id="10001", limit=9, look=9)
            assert [(row["status"], row["reason"]) for row in found] == [
                ("waiting", "Zoho has not raised it yet")
            ]
            return await links(joined)

    told = run(main)
    assert sorted(told) == ["1", "2"]
    assert sum(link is not None for link in told.values()) == 1
