"""Setting watches: replaced, removed, refused; on busy tables nobody waits long for us."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import psycopg
import pytest

from zohosync.errors import DatabaseError, SettingsError
from zohosync.store import capture, connection
from zohosync.store.capture import Watch, install_watches, missing_watches
from zohosync.store.database import Database

BOOK = """
create table plans (id integer primary key);
create table customers (id integer primary key, plan_id integer);
create table invoices (id integer primary key);
create table invoice_lines (id integer primary key, invoice_id integer);
"""
PLANS = Watch("public.plans", "plans", key="id")
CUSTOMERS = Watch("public.customers", "customers", key="id")
INVOICES = Watch("public.invoices", "invoices", key="id")
LINES = Watch("public.invoice_lines", "invoices", key="invoice_id")
BY_PLAN = Watch(
    "public.plans",
    "customers",
    keys="select c.id from customers c join changed p on p.id = c.plan_id",
)
WATCHES = (CUSTOMERS, INVOICES, LINES, BY_PLAN)
User = psycopg.AsyncConnection[tuple[object, ...]]


@dataclass(slots=True)
class Pauses:
    """A clock whose pauses are moments at which something happens, one thing a pause."""

    happenings: list[Callable[[], Awaitable[object]]] = field(default_factory=list)
    slept: int = 0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        self.slept += 1
        if self.happenings:
            await self.happenings.pop(0)()

    def timeout(self, seconds: float) -> asyncio.Timeout:
        return asyncio.timeout(seconds)


async def watch(database: Database, *watches: Watch) -> list[str]:
    return await install_watches(database, watches, clock=Pauses())


async def marks(database: Database) -> list[tuple[str, str, str]]:
    """What was marked: kind, key, op."""
    async with database.transaction() as transaction:
        rows = await transaction.fetch_sql("select kind, key, op::text as op from zohosync.marks")
    return sorted((row["kind"], row["key"], row["op"]) for row in rows)


@pytest.fixture
async def user(any_database_url: str) -> AsyncIterator[User]:
    """The business's own connection."""
    async with await psycopg.AsyncConnection.connect(any_database_url, autocommit=True) as link:
        await link.execute(BOOK)
        yield link


@pytest.fixture
async def hasty(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    """A database of ours whose patience for locks is 0.1 s instead of 2."""
    monkeypatch.setitem(connection.SESSION, "lock_timeout", "100ms")
    opened = await Database.open(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def writer(database_url: str) -> AsyncIterator[psycopg.AsyncConnection[tuple[int]]]:
    """A business transaction that has written to customers and takes its time."""
    link: psycopg.AsyncConnection[tuple[int]]
    async with await psycopg.AsyncConnection.connect(database_url) as link:
        await link.execute(BOOK)
        await link.commit()
        await link.execute("insert into customers values (1)")
        yield link


async def test_our_patience_is_two_seconds(database: Database) -> None:
    async with database.transaction() as transaction:
        rows = await transaction.fetch_sql("show lock_timeout")
    assert rows == [{"lock_timeout": "2s"}]


async def test_a_busy_table_is_asked_again_until_it_is_free(
    hasty: Database, writer: psycopg.AsyncConnection[tuple[int]]
) -> None:
    async def nothing() -> None:
        assert await missing_watches(hasty, [CUSTOMERS]) == ["public.customers"]

    clock = Pauses([nothing, writer.commit])
    assert await install_watches(hasty, [CUSTOMERS], clock=clock) == [
        "watches public.customers for customers"
    ]
    assert clock.slept == 2


async def test_a_table_that_stays_busy_is_named_and_nothing_is_half_done(
    hasty: Database, writer: psycopg.AsyncConnection[tuple[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture, "LOCK_TRIES", 3)
    clock = Pauses()
    with pytest.raises(DatabaseError) as busy:
        await install_watches(hasty, [PLANS, CUSTOMERS], clock=clock)
    assert "public.customers" in str(busy.value)
    assert "zohosync migrate" in busy.value.next_step
    assert clock.slept == 2
    await writer.commit()
    async with hasty.transaction() as transaction:
        ours = await transaction.fetch_sql(
            "select (select count(*) from pg_trigger where not tgisinternal "
            "and tgrelid::regclass::text not like 'zohosync.%') as triggers, "
            "(select count(*) from pg_proc where proname like 'watch~_%' escape '~') as functions, "
            "(select count(*) from zohosync.watches) as watches"
        )
    assert ours == [{"triggers": 4, "functions": 1, "watches": 1}]  # those of plans


async def test_writers_that_queue_up_behind_us_go_on_when_we_give_up(
    hasty: Database, database_url: str, writer: psycopg.AsyncConnection[tuple[int]]
) -> None:
    async def second() -> None:
        async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as link:
            await link.execute("insert into customers values (2)")  # behind us in the queue

    async def first_goes_on() -> None:
        async with asyncio.timeout(10):
            await queued
        await writer.execute("insert into customers values (3)")
        await writer.commit()

    async with asyncio.TaskGroup() as tasks:
        clock = Pauses([first_goes_on])
        installing = tasks.create_task(install_watches(hasty, [CUSTOMERS], clock=clock))
        queued = tasks.create_task(second())
    assert clock.slept == 1
    assert installing.result() == ["watches public.customers for customers"]


async def test_a_present_trigger_is_replaced_while_a_reader_reads(
    hasty: Database, database_url: str, writer: psycopg.AsyncConnection[tuple[int]]
) -> None:
    await writer.commit()
    await install_watches(hasty, [CUSTOMERS], clock=Pauses())
    await writer.execute("select * from customers")  # a report that holds its snapshot for hours
    urgent = Watch("public.customers", "customers", key="id", priority=10)
    clock = Pauses()
    await install_watches(hasty, [urgent], clock=clock)
    assert clock.slept == 0


async def test_two_that_set_the_same_watches_at_once_both_succeed(
    database: Database, database_url: str, writer: psycopg.AsyncConnection[tuple[int]]
) -> None:
    await writer.commit()
    other = await Database.open(database_url)
    for number in range(5):
        watches = [Watch("customers", "customers", key="id", priority=number), PLANS]
        await asyncio.gather(
            install_watches(database, watches, clock=Pauses()),
            install_watches(other, watches, clock=Pauses()),
        )
        assert await missing_watches(database, watches) == []
    await other.close()


async def triggers(user: User) -> list[tuple[object, ...]]:
    """Every trigger on a table of the user's, with its version of the catalogue row."""
    rows = await user.execute(
        "select tgrelid::regclass::text, tgname, xmin::text from pg_trigger "
        "where not tgisinternal and tgrelid::regclass::text not like 'zohosync.%'"
    )
    return sorted(await rows.fetchall())


async def test_setting_the_watches_again_changes_nothing(
    any_database: Database, user: User
) -> None:
    said = await watch(any_database, *WATCHES, CUSTOMERS)
    assert said[0] == "watches public.customers for customers"
    assert len(said) == 4
    before = await triggers(user)
    assert len(before) == 16
    assert await watch(any_database, *WATCHES) == []
    assert await triggers(user) == before
    assert await missing_watches(any_database, WATCHES) == []


async def test_a_changed_watch_is_replaced_and_a_removed_one_dropped(
    any_database: Database, user: User
) -> None:
    await watch(any_database, CUSTOMERS, LINES, INVOICES)
    urgent = Watch("public.customers", "customers", key="id", priority=1)
    lines = Watch("public.invoice_lines", "invoices", keys="select 7 from changed")
    await user.execute("drop table invoices")
    assert await missing_watches(any_database, [urgent, lines]) == [urgent.table, lines.table]
    said = await watch(any_database, urgent, lines)
    assert sorted(said) == [
        "no longer watches public.invoice_lines for invoices",
        "no longer watches public.invoices for invoices",
        "watches public.customers for customers",
        "watches public.invoice_lines for invoices",
    ]
    await user.execute("insert into customers values (1)")
    await user.execute("insert into invoice_lines values (1, 1)")
    assert await marks(any_database) == [("customers", "1", "I"), ("invoices", "7", "I")]
    assert len(await triggers(user)) == 8


@pytest.mark.parametrize(
    "harm",
    [
        "alter table customers disable trigger user",
        f"drop trigger zohosync_{CUSTOMERS.name}_t on customers",
        "alter table customers rename to old; create table customers (like old)",
    ],
)
async def test_a_trigger_that_was_lost_is_noticed_and_set_again(
    database: Database, database_url: str, harm: str
) -> None:
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as user:
        await user.execute(BOOK)
        await watch(database, CUSTOMERS)
        await user.execute(harm)
        assert await missing_watches(database, [CUSTOMERS]) == ["public.customers"]
        await watch(database, CUSTOMERS)
        assert await missing_watches(database, [CUSTOMERS]) == []
        await user.execute("insert into customers values (1)")
        await user.execute("truncate customers")
    assert [mark[2] for mark in await marks(database)] == ["T", "I"]


REFUSED = (
    (Watch("public.custommers", "customers", key="id"), "no table 'public.custommers'"),
    (Watch("a.b.c.d", "customers", key="id"), "no table"),
    (Watch("not a table", "customers", key="id"), "no table"),
    (Watch("public.customers", "customers", key="ID"), "no column 'ID'"),
    (Watch("public.seen", "customers", key="id"), "not a table"),
    (Watch("public.customers", "customers"), "one of key and keys"),
    (Watch("public.plans", "customers", keys="select x from changed"), '"x"'),
    (Watch("public.plans", "customers", keys="selec"), "syntax error"),
    (Watch("public.plans", "customers", keys="delete from customers"), "syntax error"),
)


async def test_a_watch_that_cannot_work_is_refused_before_it_can_harm(
    any_database: Database, user: User
) -> None:
    await user.execute("create view seen as select * from customers")
    for wrong, says in REFUSED:
        with pytest.raises(SettingsError, match=says) as refused:
            await watch(any_database, wrong)
        assert "[[watch]]" in str(refused.value)
    assert await triggers(user) == []


async def test_dropping_our_schema_leaves_the_tables_as_they_were(
    any_database: Database, user: User
) -> None:
    async def look() -> Sequence[tuple[object, ...]]:
        rows = await user.execute(
            "select relname, relacl::text, reloptions::text, relnatts from pg_class "
            "where relnamespace = 'public'::regnamespace order by relname"
        )
        return await rows.fetchall()

    before = await look()
    await watch(any_database, *WATCHES)
    await user.execute("insert into customers values (1)")
    await user.execute("drop schema zohosync cascade")
    assert await look() == before
    assert await triggers(user) == []
    await user.execute("insert into customers values (2)")
    await user.execute("truncate customers")
