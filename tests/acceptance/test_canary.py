"""The first few rows go ahead of a backfill, with their parents, and are accounted for."""

from pathlib import Path

import pytest

from acceptance.cli_kit import Shell, sql
from acceptance.kit import MAPPING, SHOP
from zohosync.clock import Chance, SystemClock
from zohosync.sandbox import Sandbox, SandboxLimits, serving

pytestmark = pytest.mark.acceptance
ROWS = """
insert into people select n, 'P ' || n, n || '@example.com', null from generate_series(1, 8) n;
insert into people values (9, 'Nobody', 'no address', null);
insert into bills select n, n, 10.50, '2026-03-01' from generate_series(1, 9) n;
insert into paid select n, n from generate_series(9, 1, -1) n;
"""
TOML = """
[organization]
time_zone = "Africa/Johannesburg"
[worker]
debounce_s = 0
"""
CUSTOMERS = MAPPING["customers"].replace(
    "p.phone", "p.phone, p.id <> 2 as eligible"
).rstrip() + " order by p.id\n"  # fmt: skip


async def shop(url: str, folder: Path) -> None:
    await sql(url, f"{SHOP}; {ROWS}")
    (folder / "mapping").mkdir()
    (folder / "zohosync.toml").write_text(TOML, encoding="utf-8")
    for kind, text in {**MAPPING, "customers": CUSTOMERS}.items():
        (folder / "mapping" / f"{kind}.sql").write_text(text, encoding="utf-8")


def keys(sandbox: Sandbox, kind: str, name: str) -> list[str]:
    return sorted(str(row[name]) for row in sandbox.ledger.records(kind))


async def test_a_canary_takes_the_first_rows_that_are_not_linked_yet(
    empty_database_url: str, tmp_path: Path
) -> None:
    await shop(empty_database_url, tmp_path)
    sandbox = Sandbox(clock=SystemClock(), chance=Chance(1), limits=SandboxLimits.lifted())
    async with serving(sandbox) as url:
        shell = Shell(tmp_path, ZOHOSYNC_DATABASE_URL=empty_database_url).at(sandbox, url)
        assert (await shell("migrate")).code == 0
        first = await shell("backfill", "customers", "--limit", "2", "--json")
        assert (first.code, first.last.get("marked")) == (0, {"customers": 2}), first.error
        assert [(row["key"], row["status"]) for row in first.last["rows"]] == [
            ("1", "synced"), ("3", "synced"),
        ]  # fmt: skip
        assert {row["zoho_id"] for row in first.last["rows"]} == set(
            keys(sandbox, "customers", "customer_id")
        )
        assert "Next: look at these records in Zoho" in first.error
        again = await shell("backfill", "customers", "--limit", "2", "--json")
        assert [row["key"] for row in again.last["rows"]] == ["4", "5"]


async def test_the_parents_that_a_canary_needs_go_with_it(
    empty_database_url: str, tmp_path: Path
) -> None:
    await shop(empty_database_url, tmp_path)
    sandbox = Sandbox(clock=SystemClock(), chance=Chance(1), limits=SandboxLimits.lifted())
    async with serving(sandbox) as url:
        shell = Shell(tmp_path, ZOHOSYNC_DATABASE_URL=empty_database_url).at(sandbox, url)
        assert (await shell("migrate")).code == 0
        done = await shell("backfill", "payments", "--limit", "2", "--json")
        assert "rows" in done.last, done.error
        stood = {row["key"]: (row["status"], row["reason"]) for row in done.last["rows"]}
        assert (stood["8"], stood["9"][0]) == (("synced", ""), "waiting")
        assert (done.code, done.last["marked"]) == (
            1, {"customers": 2, "invoices": 2, "payments": 2},
        )  # fmt: skip
        assert "4 parents that they need go with them: customers 8, customers 9" in done.error
        assert "Next: zohosync why payments 9" in done.error
        assert keys(sandbox, "customers", "display_name") == ["P 8"]
        assert keys(sandbox, "invoices", "invoice_number") == ["B-8"]
        shown = await shell("backfill", "payments", "--limit", "2", "--dry-run")
        assert (shown.code, "do not go together" in shown.error) == (2, True)
        await shell("pause", "customers")
        rested = await shell("backfill", "customers", "--limit", "1")
        assert rested.code == 1
        assert "customers are paused" in rested.output
        assert "Next: zohosync resume customers" in rested.output
