"""The Python API: what applications call, against a real Postgres, a worker and a sandbox."""

import asyncio
import inspect
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest

import zohosync
from zohosync.api import Ending, Sync
from zohosync.clock import Chance
from zohosync.core.sections import Caches
from zohosync.errors import (
    DatabaseUnavailableError,
    NoWorkerError,
    OrganizationClosedError,
    SchemaError,
    SettingsError,
    TimeLimitError,
    UnknownKindError,
    UnknownRecordError,
)
from zohosync.sandbox import Sandbox, SandboxLimits
from zohosync.store.database import Database
from zohosync.testing.virtual import VirtualClock, run
from zohosync.testing.world import World, WorldSettings, world

PAGE = Path(__file__).resolve().parents[2] / "docs" / "api.md"
SCHEMA = """
create table people (id int primary key, name text, email text);
create table bills (id int primary key, person int);
insert into people values (42, 'Ada', 'ada@example.com'), (43, 'Eve', null);
insert into bills values (7, 42), (8, 43);
"""
MAPPING = {
    "customers": "select p.id as key, p.name as display_name, p.email from people p",
    "invoices": "select b.id as key, b.person as customer_key, 'B-' || b.id as invoice_number, "
    "date '2026-01-15' as date, date '2026-02-15' as due_date, jsonb_build_array("
    "jsonb_build_object('name', 'Goods', 'price', 100, 'quantity', 1)) as invoice_items "
    "from bills b",
}
Story = Callable[[World, Sync, VirtualClock], Awaitable[None]]


@asynccontextmanager
async def working(joined: World) -> AsyncIterator[None]:
    """A worker works meanwhile."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(joined.service.run(stop))
        try:
            yield
        finally:
            stop.set()
            joined.worker.wake()


def told(url: str, story: Story) -> None:
    async def main() -> None:
        clock = VirtualClock()
        sandbox = Sandbox(clock=clock, chance=Chance(7), limits=SandboxLimits.lifted())
        database = await Database.open(url, now=clock.now)
        async with database.transaction() as transaction:
            await transaction.execute_sql(SCHEMA)
        settings = WorldSettings().working(debounce_s=0.0)
        async with world(database, MAPPING, sandbox, clock=clock, settings=settings) as joined:
            sync = Sync(database, sandbox.organization_id, clock=clock, caches=Caches())
            await story(joined, sync, clock)
        await database.close()

    run(main)


async def sql(joined: World, text: str) -> None:
    async with joined.database.transaction() as transaction:
        await transaction.execute_sql(text)


def test_a_record_is_waited_for_with_its_parents_until_it_is_in_step(database_url: str) -> None:
    async def story(joined: World, sync: Sync, clock: VirtualClock) -> None:
        async with working(joined):
            invoice = await sync.sync_now("invoices", 7)
            assert invoice.in_step
            assert (invoice.record.status, invoice.record.in_step) == ("synced", True)
            assert (await sync.status("customers", "42")).zoho_id
            await sql(joined, "update people set email = 'ada@example.org' where id = 42")
            again = await sync.sync_now("customers", "42")
            assert again.in_step
            assert again.record.synced_at is not None
            failed = await sync.sync_now("customers", 43)
            assert (failed.ending, failed.in_step) == (Ending.FAILED, False)
            assert failed.record.reason == "email is required and is empty"
            assert "mend the row" in failed.next_step
            child = await sync.sync_now("invoices", 8)
            assert child.ending is Ending.WAITING
            assert "waits for customers 43, which is failed" in " ".join(child.lines)
            nobody = await sync.sync_now("customers", 99)
            assert nobody.ending is Ending.SKIPPED

    told(database_url, story)


def test_what_cannot_be_waited_for_is_said_and_stays_marked(database_url: str) -> None:
    async def story(joined: World, sync: Sync, clock: VirtualClock) -> None:
        with pytest.raises(NoWorkerError, match=r"customers 42 is marked.*start `zohosync run`"):
            await sync.sync_now("customers", 42)
        blocked = "zohosync.current_time() + interval '30 min', closed_reason = 'blocked'"
        await sql(joined, f"update zohosync.organizations set closed_until = {blocked}")
        with pytest.raises(OrganizationClosedError, match="closed for 1800 s more: blocked"):
            await sync.sync_now("customers", 42)
        await sql(joined, "update zohosync.organizations set closed_until = null")
        alive = "insert into zohosync.workers (worker, org_id, host, pid, version)"
        await sql(joined, f"{alive} select 'w', org_id, 'h', 1, '0' from zohosync.organizations")
        began = clock.now()
        late = r"not in step within 12 s \(customers 42: a worker has not seen its mark yet\)"
        with pytest.raises(TimeLimitError, match=late):
            await sync.sync_now("customers", 42, time_limit_s=12.0)
        assert 12.0 <= (clock.now() - began).total_seconds() < 13.0
        async with working(joined):
            assert (await sync.sync_now("customers", 42)).in_step

    told(database_url, story)


def test_a_status_is_shown_for_half_a_minute_unless_we_marked_the_record(database_url: str) -> None:
    async def story(joined: World, sync: Sync, clock: VirtualClock) -> None:
        await sync.mark("customers", 42)
        with pytest.raises(UnknownRecordError, match="customers 42 is not known"):
            await sync.status("customers", 42)
        async with working(joined):
            assert (await sync.sync_now("customers", 42)).in_step
        shown = await sync.status("customers", 42)
        assert shown.status == "synced"
        await sql(joined, "update zohosync.records set status = 'failed'")
        assert await sync.status("customers", 42) == shown
        await clock.sleep(31.0)
        assert (await sync.status("customers", 42)).status == "failed"
        await sql(joined, "update zohosync.records set status = 'synced'")
        await sync.mark("customers", 42)
        assert (await sync.status("customers", 42)).in_step is False, "our own mark is to be done"

    told(database_url, story)


def test_the_books_are_told_as_the_commands_tell_them(database_url: str) -> None:
    async def story(joined: World, sync: Sync, clock: VirtualClock) -> None:
        async with working(joined):
            await sync.sync_now("invoices", 7)
            await sync.sync_now("customers", 43)
            health = await sync.health()
        assert (health.workers, health.paused, health.mode) == (1, None, "sandbox")
        customers = next(kind for kind in health.kinds if kind.kind == "customers")
        assert (customers.total, customers.linked) == (2, 1)
        assert customers.by_status == {"synced": 1, "failed": 1}
        assert {kind.oldest_due for kind in health.kinds} == {None}, "nothing is due any more"
        why = await sync.why("customers", 43)
        assert why.record.field == "email"
        assert why.lines[0] == "customers 43: failed (not in Zoho)"
        assert why.values["attempts"][0]["result"] == "failed"
        assert "payload" not in why.values["record"]
        usage = await sync.usage(1)
        assert usage["spent"] == usage["today"]["spent"] > 0
        assert set(usage["by_kind"]) >= {"customers", "invoices"}

    told(database_url, story)


async def test_bad_input_is_named_and_nothing_is_half_done(
    database_url: str, tmp_path: Path
) -> None:
    async with zohosync.connect(url=await registered(database_url)) as sync:
        with pytest.raises(UnknownKindError, match=r"no kind 'client'.*the kinds are products"):
            await sync.mark("client", 1)
        with pytest.raises(SettingsError, match="key is empty"):
            await sync.mark("customers", "")
        with pytest.raises(SettingsError, match="priority 11"):
            await sync.mark("customers", 1, priority=11)
        for asked in (sync.status, sync.why):
            with pytest.raises(UnknownRecordError, match="nothing has marked it yet"):
                await asked("customers", "42")
    with psycopg.connect(database_url) as plain:
        assert plain.execute("select count(*) from zohosync.marks").fetchone() == (0,)
    with pytest.raises(SettingsError, match=r"no zohosync\.toml"):
        async with zohosync.connect(tmp_path):
            raise AssertionError
    with pytest.raises(DatabaseUnavailableError):
        async with zohosync.connect(url="postgresql://nobody@127.0.0.1:1/none"):
            raise AssertionError


async def registered(url: str) -> str:
    """The database with an active organisation."""
    with psycopg.connect(url, autocommit=True) as plain:
        plain.execute(
            "insert into zohosync.organizations (org_id, data_center, mode, time_zone, active, "
            "kinds) values ('1', 'us', 'sandbox', 'UTC', true, '{customers,invoices}')"
        )
    return url


async def test_a_database_that_is_not_set_up_is_told_with_the_way_out(database_url: str) -> None:
    with pytest.raises(SchemaError, match="No organisation is registered"):
        async with zohosync.connect(url=database_url):
            raise AssertionError
    with psycopg.connect(database_url, autocommit=True) as plain:
        plain.execute("drop schema zohosync cascade")
    with pytest.raises(SchemaError, match="run `zohosync migrate`"):
        async with zohosync.connect(url=database_url):
            raise AssertionError


def test_the_public_names_are_these() -> None:
    assert sorted(zohosync.__all__) == dir(zohosync) == ["Sync", "ZohosyncError", "connect"]
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = zohosync.nothing
    told_ = {
        name: str(inspect.signature(member)).replace("'", "")
        for name, member in inspect.getmembers(Sync, inspect.isfunction)
        if not name.startswith("_")
    }
    assert told_ == {
        "health": "(self) -> zohosync.api.Health",
        "mark": "(self, kind: str, key: str | int, *, priority: int = 5) -> None",
        "status": "(self, kind: str, key: str | int) -> zohosync.api.RecordStatus",
        "sync_now": "(self, kind: str, key: str | int, *, time_limit_s: float = 30.0)"
        " -> zohosync.api.Outcome",
        "usage": "(self, days: int = 7) -> collections.abc.Mapping[str, typing.Any]",
        "why": "(self, kind: str, key: str | int) -> zohosync.api.Why",
    }
    assert str(inspect.signature(zohosync.connect)).partition(" ->")[0].replace("'", "") == (
        "(project: str | pathlib.Path = ., *, url: str | None = None, "
        "settings: zohosync.settings.Settings | None = None, "
        "clock: zohosync.clock.Clock | None = None)"
    )


def test_importing_the_package_imports_next_to_nothing() -> None:
    text = "import sys, zohosync; print([m for m in sys.modules if m.startswith('zohosync.')])"
    found = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_the_examples_of_the_page_do_what_they_say(database_url: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    python = re.findall(r"^```python run\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    statements = re.findall(r"^```sql run\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert len(python) >= 2
    assert len(statements) >= 2

    async def story(joined: World, sync: Sync, clock: VirtualClock) -> None:
        for text in statements:
            await sql(joined, text)
        async with working(joined):
            for text in python:
                scope: dict[str, object] = {}
                body = "".join(f"    {line}" for line in text.splitlines(keepends=True))
                exec(f"async def example(sync):\n{body}", scope)  # noqa: S102 - our own page
                await scope["example"](sync)  # type: ignore[operator]

    told(database_url, story)
