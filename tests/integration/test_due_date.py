"""What the row says of a due date holds in Zoho, whatever else of the invoice is changed."""

import asyncio

import pytest

from zohosync.clock import Chance
from zohosync.sandbox import Sandbox, SandboxLimits
from zohosync.store.database import Database
from zohosync.testing.virtual import VirtualClock, run
from zohosync.testing.world import World, WorldSettings, world

SCHEMA = """
create table people (id int primary key, name text, email text);
create table bills (id int primary key, person int, price numeric, terms text, days int,
  due date, status text);
insert into people values (1, 'Ada', 'ada@example.com');
insert into bills values (1, 1, 100, null, null, '2026-12-20', 'draft'),
  (2, 1, 50, null, null, '2026-12-20', 'open'), (3, 1, 70, null, null, null, 'draft');
"""
MAPPING = {
    "customers": "select p.id as key, p.name as display_name, p.email from people p",
    "invoices": "select b.id as key, b.person as customer_key, b.status as state, "
    "'B-' || b.id as invoice_number, date '2026-11-22' as date, b.due as due_date, "
    "b.terms, b.days as payment_terms, round(b.price * 1.15, 2) as total, "
    "jsonb_build_array(jsonb_build_object('name', 'Use', 'price', b.price, 'quantity', 1, "
    "'tax', 'VAT 15')) as invoice_items from bills b",
}
DRAFT, OPEN, UNDATED = 1, 2, 3


async def in_step(joined: World) -> None:
    for kind in MAPPING:
        await joined.source.mark_all(kind, priority=5)
    await joined.service.run_until_idle(asyncio.Event(), poll_s=20.0)


def edited(url: str, edit: str) -> tuple[dict[str, object], dict[str, object], Sandbox]:
    """The ledger's due dates by invoice number, before and after an edit of the rows."""

    async def main() -> tuple[dict[str, object], dict[str, object], Sandbox]:
        clock = VirtualClock()
        sandbox = Sandbox(clock=clock, chance=Chance(7), limits=SandboxLimits.lifted())

        def due() -> dict[str, object]:
            rows = sandbox.ledger.records("invoices")
            return {row["invoice_number"]: row["due_date"] for row in rows}

        database = await Database.open(url, now=clock.now)
        async with database.transaction() as transaction:
            await transaction.execute_sql(SCHEMA)
        settings = WorldSettings(pace=30.0).working(debounce_s=0.0, poll_s=5.0)
        async with world(database, MAPPING, sandbox, clock=clock, settings=settings) as joined:
            await in_step(joined)
            before = due()
            async with joined.database.transaction() as transaction:
                await transaction.execute_sql(edit)
            await in_step(joined)
        await database.close()
        return before, due(), sandbox

    return run(main)


@pytest.mark.parametrize(
    ("bill", "edit"),
    [
        (DRAFT, "terms = 'Thirty days'"),
        (DRAFT, "days = 14"),
        (DRAFT, "price = 90"),
        (OPEN, "terms = 'Thirty days'"),
    ],
)
def test_an_edit_of_something_else_keeps_the_due_date(
    database_url: str, bill: int, edit: str
) -> None:
    before, after, sandbox = edited(database_url, f"update bills set {edit} where id = {bill}")
    assert before[f"B-{bill}"] == after[f"B-{bill}"] == "2026-12-20"
    assert len(sandbox.ledger.calls("PUT /invoices/{invoice_id}")) == 1


def test_an_edit_of_the_due_date_moves_it(database_url: str) -> None:
    _, after, _ = edited(database_url, "update bills set due = '2027-01-15', terms = 'Later'")
    assert set(after.values()) == {"2027-01-15"}


def test_an_invoice_without_a_due_date_of_its_own_keeps_what_zoho_gave_it(
    database_url: str,
) -> None:
    before, after, _ = edited(database_url, f"update bills set price = 90 where id = {UNDATED}")
    assert before == after
