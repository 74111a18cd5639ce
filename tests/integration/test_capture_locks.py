"""Setting triggers on busy tables: nobody waits long for us, and nothing is left half done."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import psycopg
import pytest

from zohosync.errors import DatabaseError
from zohosync.store import capture, connection
from zohosync.store.capture import Watch, install_watches, missing_watches
from zohosync.store.database import Database

CUSTOMERS = Watch("public.customers", "customers", key="id")
PLANS = Watch("public.plans", "plans", key="id")


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
        await link.execute("create table customers (id integer primary key, name text)")
        await link.execute("create table plans (id integer primary key)")
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
            "select (select count(*) from pg_trigger where not tgisinternal) as triggers, "
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
