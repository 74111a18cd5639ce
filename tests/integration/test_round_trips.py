"""What leaves in one round trip, what is prepared, and what stays of both when one fails."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import generators, waiting
from psycopg.abc import PQGen
from psycopg.pq.abc import PGconn

from zohosync.errors import DatabaseError
from zohosync.store import trips
from zohosync.store.connection import PREPARE_AFTER, Address, Connection, connect
from zohosync.store.database import Database

OFTEN = PREPARE_AFTER + 2


async def server_process(database: Database) -> int:
    """Who answers: the same one as long as the connection is."""
    async with database.transaction() as transaction:
        (row,) = await transaction.fetch_sql("select pg_backend_pid() as pid")
    return int(row["pid"])


async def prepared(database: Database) -> list[str]:
    """The statements that the server keeps for us, by how they begin."""
    async with database.transaction() as transaction:
        rows = await transaction.fetch_sql(
            "select left(statement, 30) as words from pg_prepared_statements order by name"
        )
    return [row["words"] for row in rows]


@pytest.fixture
async def single(kept: Database, queries: Path, database_url: str) -> Any:
    """One connection and no more, to the table of `kept`."""
    (queries / "break.sql").write_text("select 1 / %(number)s as one")
    database = await Database.open(database_url, connections=1)
    yield database
    await database.close()


@pytest.mark.parametrize("sent", [False, True], ids=["before it leaves", "when it is answered"])
async def test_a_process_that_freezes_amid_a_batch_holds_no_lock(
    kept: Database, database_url: str, monkeypatch: pytest.MonkeyPatch, sent: bool
) -> None:
    await kept.execute("put", number=1, what=None)
    frozen = asyncio.Event()
    original, links = generators.send, list[Connection]()

    async def dial(address: Address) -> tuple[Connection, bool]:
        link, direct = await connect(address)
        links.append(link)
        return link, direct

    def freeze(pgconn: PGconn) -> PQGen[None]:
        if pgconn is not links[0].pgconn or frozen.is_set():
            yield from original(pgconn)
            return
        if sent:
            yield from original(pgconn)
            yield waiting.WAIT_R
        frozen.set()
        while not freezing.cancelling():
            yield waiting.WAIT_R
        yield from original(pgconn)

    other = await Database.open(database_url, dial=dial)
    monkeypatch.setattr(generators, "send", freeze)
    async with asyncio.TaskGroup() as tasks:
        freezing = tasks.create_task(other.batch(("lock_kept", {}), ("all_kept", {})))
        await frozen.wait()
        locks = await held_locks(kept)
        freezing.cancel()
    assert locks == []
    await other.close()


async def held_locks(kept: Database) -> list[dict[str, Any]]:
    """What others hold of the table; and its row can be locked."""
    async with kept.transaction() as transaction:
        locks = await transaction.fetch_sql(
            "select from pg_locks where relation = 'kept'::regclass and pid <> pg_backend_pid()"
        )
        assert await transaction.fetch("lock_kept") == [{"number": 1}]
    return locks


async def test_a_table_that_changes_under_a_prepared_query_costs_one_try(
    kept: Database, queries: Path, database_url: str
) -> None:
    (queries / "any_kept.sql").write_text("select * from kept")
    for _ in range(PREPARE_AFTER + 2):
        assert await kept.fetch("any_kept") == []
    with psycopg.connect(database_url, autocommit=True) as other:
        other.execute("alter table kept add column more int")
    with pytest.raises(DatabaseError) as caught:
        await kept.fetch("any_kept")
    assert caught.value.retryable
    assert "run it again" in str(caught.value)
    assert await kept.fetch("any_kept") == []


async def test_a_statement_that_fails_costs_no_connection(single: Database) -> None:
    before = await server_process(single)
    for _ in range(OFTEN):
        with pytest.raises(DatabaseError, match="division by zero"):
            await single.fetch("break", number=0)
        with pytest.raises(DatabaseError, match="division by zero"):
            await single.batch(("put", {"number": 1, "what": None}), ("break", {"number": 0}))
        with pytest.raises(DatabaseError, match="division by zero"):
            await in_transaction(
                single, ("put", {"number": 1, "what": None}), ("break", {"number": 0})
            )
    assert await single.fetch("all_kept") == []
    assert await server_process(single) == before


async def in_transaction(database: Database, *calls: tuple[str, dict[str, Any]]) -> None:
    """One after the other, and COMMIT."""
    async with database.transaction() as transaction:
        for name, params in calls:
            await transaction.fetch(name, **params)


async def test_what_came_after_a_failure_is_not_taken_for_prepared(single: Database) -> None:
    two: Sequence[tuple[str, dict[str, Any]]] = [("break", {"number": 0}), ("all_kept", {})]
    for _ in range(OFTEN):
        with pytest.raises(DatabaseError, match="division by zero"):
            await single.batch(*two)
    assert not [words for words in await prepared(single) if "number, what" in words]
    for _ in range(OFTEN):
        assert await single.fetch("all_kept") == []
    assert [words for words in await prepared(single) if "number" in words]


async def test_what_is_prepared_stays_so_after_a_rollback(single: Database) -> None:
    for _ in range(OFTEN):
        await single.fetch("all_kept")
    before = await prepared(single)
    with pytest.raises(DatabaseError, match="division by zero"):
        await in_transaction(single, ("all_kept", {}), ("break", {"number": 0}))
    assert await prepared(single) == before != []


async def test_a_server_keeps_no_more_plans_than_so_many_the_latest(
    single: Database, queries: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trips, "PREPARED_MAX", 3)
    for number in range(8):
        (queries / f"query_{number}.sql").write_text(f"select {number} as it")
    for number in (*range(5), 3, *range(5, 8), 3):
        for _ in range(OFTEN):
            assert await single.fetch(f"query_{number}") == [{"it": number}]
    kept = [words for words in await prepared(single) if words.endswith(" as it")]
    assert sorted(kept) == ["select 3 as it", "select 6 as it", "select 7 as it"]


async def test_a_query_twice_in_one_trip_is_answered_twice(single: Database) -> None:
    calls: Sequence[tuple[str, dict[str, Any]]] = [("break", {"number": n}) for n in (1, -1, 1)]
    for _ in range(PREPARE_AFTER):
        await single.fetch("break", number=1)
    for _ in range(2):
        assert await single.batch(*calls) == [[{"one": 1}], [{"one": -1}], [{"one": 1}]]
    assert len([words for words in await prepared(single) if "1 / $1" in words]) == 1


async def test_a_parameter_that_cannot_be_sent_leaves_nothing_half_sent(single: Database) -> None:
    before = await server_process(single)
    with pytest.raises(DatabaseError, match="cannot adapt type"):
        await in_transaction(single, ("lock_kept", {}), ("put", {"number": 1, "what": object()}))
    with pytest.raises(DatabaseError, match="cannot adapt type"):
        await single.batch(("lock_kept", {}), ("put", {"number": 1, "what": object()}))
    assert await single.fetch("all_kept") == []
    assert await server_process(single) == before


@pytest.mark.parametrize("unfit", [object(), "\ud800"], ids=["no type", "no text"])
async def test_what_follows_a_statement_that_never_left_stays_in_the_transaction(
    single: Database, kept: Database, unfit: object
) -> None:
    async def pass_over() -> None:
        async with single.transaction() as transaction:
            with pytest.raises((DatabaseError, UnicodeEncodeError)):
                await transaction.fetch_sql("select %(it)s", {"it": unfit})
            await transaction.execute("put", number=1, what=None)
            assert await kept.fetch("all_kept") == []

    with pytest.raises(DatabaseError, match="rolled back"):
        await pass_over()
    assert await kept.fetch("all_kept") == []
