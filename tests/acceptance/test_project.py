"""A project as `zohosync init` writes it, over the guide's tables, by the command alone."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from acceptance.kit import ZONE, ShiftedClock, Shop, point, pretend, zohosync
from zohosync import settings as settings_of
from zohosync.bootstrap import open_project
from zohosync.clock import Chance
from zohosync.demo import book as books
from zohosync.sandbox import serving
from zohosync.store.database import Database

pytestmark = pytest.mark.acceptance
PEOPLE = 6


async def test_a_fresh_project_brings_the_guides_tables_into_step(
    empty_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = pretend(ShiftedClock())
    folder = tmp_path / "billing"
    async with serving(sandbox) as url:
        point(monkeypatch, sandbox, url, empty_database_url)
        await write_tables(empty_database_url)
        await zohosync(tmp_path, "init", str(folder), project=False)
        await zohosync(folder, "migrate")
        rehearsed = await zohosync(folder, "backfill", "--dry-run")
        done = await zohosync(folder, "backfill")
        assert (done["failed"], done["waiting"], done["moving"]) == (0, 0, 0)
        assert rehearsed["calls"] == len(sandbox.ledger.calls())
        async with open_project(settings_of.load(folder), chance=Chance(2)) as project:
            here = Shop(folder, project.database, project, sandbox, sandbox.wire.clock)
            await here.assert_in_step(customers=PEOPLE)
            await here.execute(
                "update public.customers set phone = '+27 1' where id = "
                "(select id from public.customers limit 1)"
            )
        calls = len(sandbox.ledger.calls())
        await zohosync(folder, "run", "--until-idle")
        assert [call.method for call in sandbox.ledger.calls()[calls:]] == ["PUT"]


async def write_tables(url: str) -> None:
    """The sample book's first customers, with all that hangs on them."""
    book = books.build(datetime.now(ZoneInfo(ZONE)).date())
    rows = book.tables
    priced = [row for row in rows["service_packages"] if row["price"]]
    people = {row["id"] for row in rows["customers"][:PEOPLE]}
    mine = {
        table: [row for row in rows[table] if row.get("customer_id", row["id"]) in people]
        for table in ("customers", "customer_services", "customer_invoices", "payment_transactions")
    }
    wrong = book.wrong["payment above its invoice"]
    mine["payment_transactions"] = [
        row for row in mine["payment_transactions"] if str(row["id"]) != wrong
    ]
    small = replace(book, tables={"service_packages": priced, **mine})
    database = await Database.open(url, connections=1)
    async with database.transaction() as transaction:
        await transaction.execute_sql(books.schema())
        for text, values in books.statements(small):
            for each in values:
                await transaction.execute_sql(text, each)  # type: ignore[arg-type]
    await database.close()
