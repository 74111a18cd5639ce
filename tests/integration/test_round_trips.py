"""Work that shares a round trip stays as safe as work that has one of its own."""

import asyncio
import contextlib

import psycopg
import pytest

from zohosync.clock import Chance, SystemClock
from zohosync.core.governor import JournalView, Limits
from zohosync.core.lanes import Books, Choice
from zohosync.core.replies import Found
from zohosync.errors import DatabaseError
from zohosync.sandbox import Sandbox
from zohosync.store.database import Database
from zohosync.store.journal import Entry
from zohosync.testing.world import World, world
from zohosync.zoho.client import CallEnd, Ticket

ONE = {"number": 1, "what": None}


async def numbers(kept: Database) -> list[int]:
    return [row["number"] for row in await kept.fetch("all_kept")]


async def test_the_last_batch_of_a_transaction_takes_the_commit_along(
    kept: Database, database_url: str
) -> None:
    with psycopg.connect(database_url, autocommit=True) as other:
        async with kept.transaction() as transaction:
            await transaction.execute("put", number=2, what=None)
            await transaction.batch(("put", ONE), last=True)
            assert other.execute("select count(*) from kept").fetchone() == (2,)
    assert await numbers(kept) == [1, 2]


async def test_a_last_batch_that_fails_leaves_nothing_behind(kept: Database) -> None:
    with pytest.raises(DatabaseError, match="division by zero"):
        async with kept.transaction() as transaction:
            await transaction.batch(("put", ONE), ("break", {"number": 0}), last=True)
    assert await numbers(kept) == []


async def test_a_failed_last_batch_is_never_passed_over(kept: Database) -> None:
    async def pass_over() -> None:
        async with kept.transaction() as transaction:
            with contextlib.suppress(DatabaseError):
                await transaction.batch(("put", ONE), ("break", {"number": 0}), last=True)

    with pytest.raises(DatabaseError, match="was rolled back"):
        await pass_over()
    assert await numbers(kept) == []


async def test_ends_of_calls_that_could_not_be_written_go_with_the_next(database: Database) -> None:
    sandbox = Sandbox(clock=SystemClock(), chance=Chance(1))
    async with world(database, {}, sandbox) as joined:
        tickets = [await leave(joined) for _ in range(4)]
        await run(database, "alter table zohosync.api_calls rename column outcome to away")
        with pytest.raises(DatabaseError, match="finish_calls"):
            await end(joined, tickets[0])
        await run(database, "alter table zohosync.api_calls rename column away to outcome")
        async with asyncio.TaskGroup() as tasks:
            for ticket in tickets[1:]:
                tasks.create_task(end(joined, ticket))
        open_calls = "select call_id from zohosync.api_calls where finished_at is null"
        async with database.transaction() as transaction:
            assert await transaction.fetch_sql(open_calls) == []


async def leave(joined: World) -> Ticket:
    def decide(view: JournalView, books: Books, limits: Limits) -> Choice:
        del view, books, limits
        return Choice((0,))

    entry = Entry("api", 5, "customers.list", "GET", "/customers")
    admission = await joined.journal.admit([entry], decide)
    return Ticket(admission.call_ids[0], 0.0, 1.0)


async def end(joined: World, ticket: Ticket) -> None:
    await joined.gate.finish(ticket, CallEnd(Found(()), 200, 1.0, sent=True))


async def run(database: Database, text: str) -> None:
    async with database.transaction() as transaction:
        await transaction.execute_sql(text)
