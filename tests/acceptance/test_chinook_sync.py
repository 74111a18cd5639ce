"""A schema that nobody here designed: the Chinook shop in the sandbox, to the cent."""

import shutil
from decimal import Decimal
from pathlib import Path

import pytest

import chinook
from acceptance.kit import ShiftedClock, Shop, point, zohosync
from zohosync import settings as settings_of
from zohosync.bootstrap import open_project
from zohosync.clock import Chance
from zohosync.sandbox import Sandbox, SandboxLimits, serving
from zohosync.store.database import Database

pytestmark = pytest.mark.acceptance


async def test_the_chinook_shop_is_synced_to_the_cent(
    empty_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = chinook.script()
    folder = tmp_path / "shop"
    shutil.copytree(chinook.EXAMPLE, folder)
    sandbox = Sandbox(
        clock=ShiftedClock(), chance=Chance(1), time_zone="America/Edmonton", currency="USD",
        limits=SandboxLimits.lifted(),
    )  # fmt: skip
    database = await Database.open(empty_database_url, connections=1)
    async with database.transaction(statement_timeout_s=60) as transaction:
        await transaction.execute_sql(script)
    await database.close()
    async with serving(sandbox) as url:
        point(monkeypatch, sandbox, url, empty_database_url)
        await zohosync(folder, "migrate")
        rehearsed = await zohosync(folder, "backfill", "--dry-run")
        await zohosync(folder, "backfill", "--no-wait")
        done = await zohosync(folder, "run", "--until-idle")
        calls = sandbox.ledger.calls()
        assert (
            rehearsed["calls"] == len(calls) == 59 + 2 * 412 + 412 + 1
        )  # and the one item of all lines
        assert (done["failed"], done["waiting"], done["moving"]) == (0, 0, 0)
        async with open_project(settings_of.load(folder), chance=Chance(2)) as project:
            here = Shop(folder, project.database, project, sandbox, sandbox.wire.clock)
            await here.assert_in_step(customers=59, invoices=412, payments=412)
        for kind, amount in (("invoices", "total"), ("payments", "amount")):
            rows = sandbox.ledger.records(kind)
            assert sum(Decimal(row[amount]) for row in rows) == Decimal(chinook.TOTAL)
        assert {row["status"] for row in sandbox.ledger.records("invoices")} == {"paid"}
        again = await zohosync(folder, "backfill")
        assert (again["calls"], len(sandbox.ledger.calls())) == (0, len(calls))
