"""The whole sample book through the real engine into the sandbox: every kind where it belongs."""

import asyncio
from importlib.resources import files
from zoneinfo import ZoneInfo

import pytest

from zohosync.clock import Chance, SystemClock
from zohosync.core.kinds import MAPPED
from zohosync.core.records import BULK, Desired
from zohosync.demo import book as books
from zohosync.demo import story
from zohosync.demo.audit import Audit, audit
from zohosync.sandbox import Sandbox, SandboxLimits
from zohosync.store.database import Database
from zohosync.testing.world import World, WorldSettings, world

ZONE = "Africa/Johannesburg"
CREATED = 201


def starter_mapping() -> dict[str, str]:
    folder = files("zohosync") / "templates" / "mapping"
    return {kind: (folder / f"{kind}.sql").read_text() for kind in MAPPED}


async def install(database: Database, book: books.Book) -> None:
    async with database.transaction() as transaction:
        await transaction.execute_sql(books.schema())
        for text, rows in books.statements(book):
            for row in rows:
                await transaction.execute_sql(text, row)  # type: ignore[arg-type]


async def backfill(joined: World) -> None:
    for kind in MAPPED:
        await joined.source.mark_all(kind, priority=BULK)
    async with asyncio.timeout(110):
        await joined.service.run_until_idle(asyncio.Event(), poll_s=0.2)


async def audited(joined: World, sandbox: Sandbox) -> tuple[Audit, dict[str, int]]:
    """The eligible rows held against the sandbox's ledger, and how many rows there are."""
    wanted: dict[str, list[Desired]] = {kind: [] for kind in MAPPED}
    local = dict.fromkeys(MAPPED, 0)
    for kind in MAPPED:
        async for rows in joined.source.all_rows(kind):
            local[kind] += len(rows)
            found = [joined.source.as_desired(kind, row) for row in rows]
            wanted[kind] += [each for each in found if each.eligible]
    markers = {each.ref: joined.source.marker(each.ref) for kind in MAPPED for each in wanted[kind]}
    return audit(wanted, {kind: sandbox.ledger.records(kind) for kind in MAPPED}, markers), local


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox(
        clock=SystemClock(),
        chance=Chance(7),
        time_zone=ZONE,
        limits=SandboxLimits.lifted(),
    )


@pytest.mark.slow
async def test_the_sample_book_ends_as_its_story_says(database: Database, sandbox: Sandbox) -> None:
    book = books.build(SystemClock().now().astimezone(ZoneInfo(ZONE)).date())
    await install(database, book)
    settings = WorldSettings().working(debounce_s=0.0)
    async with world(database, starter_mapping(), sandbox, settings=settings) as joined:
        await backfill(joined)
        expected = story.expected(book, edited=False)
        judged, local = await audited(joined, sandbox)
        assert local == {kind: wanted.local for kind, wanted in expected.items()}
        await assert_records(joined, expected)
        for kind, wanted in expected.items():
            assert judged.in_zoho(kind) == wanted.in_zoho, kind
            assert len(sandbox.ledger.records(kind)) == wanted.in_zoho, kind
        assert (judged.differences, judged.doubled) == ([], [])
        assert_ledger(sandbox)
        calls = len(sandbox.ledger.calls())
        await backfill(joined)
        again = [(call.operation, call.status) for call in sandbox.ledger.calls()[calls:]]
        assert again == [("POST /payments", 400)], "only what Zoho refused is tried again"
        await assert_records(joined, expected)


async def assert_records(joined: World, expected: dict[str, story.Expected]) -> None:
    """Those that failed or wait are exactly the ones that should, each with its reason."""
    async with joined.database.transaction() as transaction:
        rows = await transaction.fetch_sql(
            "select kind, key, status, error_message, waiting_kind || ' ' || waiting_key as parent "
            "from zohosync.records where status not in ('synced', 'skipped')"
        )
    for kind, wanted in expected.items():
        failed = {r["key"]: r["error_message"] for r in rows if told(r, kind, "failed")}
        waiting = {r["key"]: r["parent"] for r in rows if told(r, kind, "waiting")}
        assert waiting == wanted.waiting, kind
        assert failed.keys() == wanted.failed.keys(), kind
    assert {row["status"] for row in rows} == {"failed", "waiting"}


def told(row: dict[str, object], kind: str, status: str) -> bool:
    return (row["kind"], row["status"]) == (kind, status)


def assert_ledger(sandbox: Sandbox) -> None:
    """Nothing double, nobody troubled, one call for each record that was made."""
    ledger = sandbox.ledger
    assert not any(ledger.duplicates().values()), ledger.duplicates()
    assert (ledger.emails, ledger.charges, ledger.refunds, ledger.deletions) == (0, 0, 0, 0)
    calls = ledger.calls()
    made = [call for call in calls if call.status == CREATED]
    moves = [call for call in calls if call.method == "POST" and call.operation.count("/") > 1]
    looks = [call for call in calls if call.operation in LOOKS]
    refused = [call for call in calls if call.status not in (200, CREATED)]
    assert len(refused) == 1, "the payment above its invoice, and nothing else"
    rest = len(calls) - len(moves) - len(looks) - len(refused)
    assert rest == len(made)


LOOKS = ("GET /invoices", "GET /invoices/{invoice_id}", "GET /settings/taxes")
"""Look-ups of what Zoho raises and of what the organisation was set up with."""
