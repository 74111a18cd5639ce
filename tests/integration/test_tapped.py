"""Connections that are listened in on: what a tap says happens, on a real server."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial

import pytest

from zohosync.errors import CommitUnknownError, DatabaseError, DatabaseUnavailableError
from zohosync.store.connection import read_address
from zohosync.store.database import Database, query_text
from zohosync.store.tapped import LOST, PIPELINE, Overseer, Spares, dial

PUT, COMMIT = b"insert into kept", b"commit"
ABORTED = "25P02"  # Postgres: current transaction is aborted


@dataclass
class Tap:
    """Says something before or after the next statement that begins so; notes what it hears."""

    overseer: Overseer
    refusal: str | None = None
    before_it: dict[bytes, str] = field(default_factory=dict)
    after_it: dict[bytes, str] = field(default_factory=dict)
    killed_at: bytes | None = None
    heard: list[bytes] = field(default_factory=list)
    ticks: int = 0
    ticked: list[int] = field(default_factory=list)
    dials: int = 0

    def dial(self) -> str | None:
        self.dials += 1
        return self.refusal

    def before(self, statement: bytes) -> str | None:
        self.heard.append(statement)
        self.ticked.append(-self.ticks)
        if self.killed_at is not None and statement.startswith(self.killed_at):
            raise asyncio.CancelledError
        return _said(self.before_it, statement)

    def after(self, statement: bytes) -> str | None:
        self.heard.append(statement)
        self.ticked.append(self.ticks)
        return _said(self.after_it, statement)

    def broken(self, backend_pid: int) -> None:
        self.overseer.terminate(backend_pid)


def _said(verdicts: dict[bytes, str], statement: bytes) -> str | None:
    for beginning in verdicts:
        if statement.startswith(beginning):
            return verdicts.pop(beginning)
    return None


@pytest.fixture
async def overseer(kept: Database, database_url: str) -> AsyncIterator[Overseer]:
    """Someone else who looks at the same database."""
    made = Overseer(database_url)
    yield made
    made.close()


@pytest.fixture
def tap(overseer: Overseer) -> Tap:
    return Tap(overseer)


@pytest.fixture
async def tapped(tap: Tap, database_url: str) -> AsyncIterator[Database]:
    """The database over connections with that tap."""
    opened = await Database.open(database_url, connections=2, dial=partial(dial, tap=tap))
    yield opened
    await opened.close()


def numbers(overseer: Overseer) -> list[int]:
    return [row["number"] for row in overseer.rows("select number from kept order by number")]


def free(overseer: Overseer) -> bool:
    """Whether nobody holds a lock on the table; waits for none."""
    overseer.transact([("lock table kept in access exclusive mode nowait", None)])
    return True


async def put(database: Database, *these: int) -> None:
    async with database.transaction() as transaction:
        for number in these:
            await transaction.execute("put", number=number, what=None)


async def pid(database: Database) -> int:
    async with database.transaction() as transaction:
        return int((await transaction.fetch_sql("select pg_backend_pid() as pid"))[0]["pid"])


def alive(overseer: Overseer, backend_pid: int) -> bool:
    found = "select from pg_stat_activity where pid = %(pid)s"
    return bool(overseer.rows(found, {"pid": backend_pid}))


async def test_a_statement_that_is_not_meddled_with_is_done_as_ever(
    tapped: Database, tap: Tap, overseer: Overseer
) -> None:
    await put(tapped, 1)
    assert numbers(overseer) == [1]
    assert [row["number"] for row in await tapped.fetch("all_kept")] == [1]
    assert tap.dials == 1
    begun = next(place for place, text in enumerate(tap.heard) if text.startswith(b"begin"))
    named = [query_text("put").encode(), PIPELINE, b"commit", b"commit"]
    assert tap.heard[begun + 1 : begun + 5] == named
    alone = query_text("all_kept").encode()
    assert tap.heard[-2:] == [alone, alone]


async def test_a_statement_that_is_failed_aborts_the_transaction_on_the_server(
    tapped: Database, tap: Tap, overseer: Overseer
) -> None:
    tap.before_it[b"-- 100"] = "40001"

    async def meet() -> None:
        async with tapped.transaction() as transaction:
            await transaction.execute("put", number=1, what=None)
            with pytest.raises(DatabaseError) as caught:
                await transaction.fetch("all_kept")
            assert (caught.value.sqlstate, caught.value.retryable) == ("40001", True)
            with pytest.raises(DatabaseError) as caught:
                await transaction.fetch("all_kept")
            assert caught.value.sqlstate == ABORTED

    with pytest.raises(DatabaseError, match="was rolled back"):
        await meet()
    assert numbers(overseer) == []
    await put(tapped, 2)
    assert numbers(overseer) == [2]


async def test_a_statement_that_is_failed_alone_is_not_done(
    tapped: Database, tap: Tap, overseer: Overseer
) -> None:
    tap.before_it[PUT] = "53100"
    with pytest.raises(DatabaseError) as caught:
        await tapped.execute("put", number=1, what=None)
    assert caught.value.sqlstate == "53100"
    assert numbers(overseer) == []


async def test_a_batch_whose_second_statement_is_failed_leaves_nothing_of_the_first(
    tapped: Database, tap: Tap, overseer: Overseer
) -> None:
    tap.before_it[b"-- 100"] = "40P01"
    with pytest.raises(DatabaseError) as caught:
        await tapped.batch(("put", {"number": 1, "what": None}), ("all_kept", {}))
    assert caught.value.sqlstate == "40P01"
    assert numbers(overseer) == []


async def test_a_connection_that_breaks_before_a_statement_leaves_it_undone_and_is_gone(
    tapped: Database, tap: Tap, overseer: Overseer
) -> None:
    first = await pid(tapped)
    tap.before_it[PUT] = LOST
    with pytest.raises(DatabaseUnavailableError, match="lost during the query put") as caught:
        await put(tapped, 1)
    assert not isinstance(caught.value, CommitUnknownError)
    assert not alive(overseer, first)
    assert free(overseer)
    assert numbers(overseer) == []
    assert await pid(tapped) != first
    assert tap.dials == 2


async def test_a_commit_that_never_arrives_is_not_known_to_have_landed_and_has_not(
    tapped: Database, tap: Tap, overseer: Overseer
) -> None:
    tap.before_it[COMMIT] = LOST
    with pytest.raises(CommitUnknownError):
        await put(tapped, 1)
    assert numbers(overseer) == []


async def test_a_commit_whose_answer_is_lost_is_not_known_to_have_landed_and_has(
    tapped: Database, tap: Tap, overseer: Overseer
) -> None:
    tap.after_it[COMMIT] = LOST
    with pytest.raises(CommitUnknownError):
        await put(tapped, 1, 2)
    assert numbers(overseer) == [1, 2]
    assert free(overseer)


async def test_a_lone_statement_whose_answer_is_lost_has_landed(
    tapped: Database, tap: Tap, overseer: Overseer
) -> None:
    tap.after_it[PUT] = LOST
    with pytest.raises(CommitUnknownError):
        await tapped.execute("put", number=1, what=None)
    assert numbers(overseer) == [1]


async def test_a_pipeline_whose_answer_is_lost_has_landed_with_the_commit_in_it(
    tapped: Database, tap: Tap, overseer: Overseer
) -> None:
    async def send() -> None:
        async with tapped.transaction() as transaction:
            await transaction.batch(("put", {"number": 1, "what": None}), last=True)

    tap.after_it[PIPELINE] = LOST
    with pytest.raises(CommitUnknownError):
        await send()
    assert numbers(overseer) == [1]


async def test_a_process_that_is_killed_before_a_statement_leaves_nothing_behind(
    tapped: Database, tap: Tap, overseer: Overseer
) -> None:
    tap.killed_at = COMMIT
    with pytest.raises(asyncio.CancelledError):
        await put(tapped, 1)
    assert free(overseer)
    assert numbers(overseer) == []


async def test_nothing_else_of_the_loop_runs_while_a_statement_does(
    tapped: Database, tap: Tap, kept: Database
) -> None:
    loop = asyncio.get_running_loop()

    def tick() -> None:
        tap.ticks += 1
        ticking.append(loop.call_soon(tick))

    ticking = [loop.call_soon(tick)]
    try:
        await kept.fetch("slow", seconds=0.05)
        assert tap.ticks > 1  # so it is on a connection without a tap
        tap.ticked.clear()
        await tapped.fetch("slow", seconds=0.05)
        await put(tapped, 1)
        await tapped.fetch("all_kept")
    finally:
        ticking[-1].cancel()
    assert len(tap.ticked) == 9
    assert {abs(tick) for tick in tap.ticked} == {tap.ticks}


async def test_a_connection_closed_in_a_transaction_is_closed_when_its_locks_are_free(
    tap: Tap, overseer: Overseer, database_url: str
) -> None:
    for number in range(10):
        link, direct = await dial(read_address(database_url), tap)
        assert direct
        await link.execute(b"begin")
        await link.execute(b"insert into kept select n, null from generate_series(1, 200) n")
        backend_pid = link.info.backend_pid
        await link.close()
        assert free(overseer), number
        assert not alive(overseer, backend_pid)
    assert numbers(overseer) == []


async def test_a_server_that_refuses_is_told_in_plain_words(tap: Tap, database_url: str) -> None:
    for refusal, words in (
        ("the database system is starting up", "starting or stopping"),
        ("sorry, too many clients already", "no connection left"),
    ):
        tap.refusal = refusal
        with pytest.raises(DatabaseUnavailableError, match=words) as caught:
            await Database.open(database_url, dial=partial(dial, tap=tap))
        assert caught.value.retryable
    assert tap.heard == []


async def test_who_leaves_leaves_its_server_process_to_the_next(
    tap: Tap, overseer: Overseer, database_url: str
) -> None:
    spares = Spares()
    opens = partial(Database.open, database_url, dial=partial(dial, tap=tap, spares=spares))
    first = await opens()
    number = await pid(first)
    await put(first, 1)
    await first.close()
    assert alive(overseer, number)
    second = await opens()
    assert tap.dials == 2, "whether it is let in is asked each time"
    assert await pid(second) == number
    await put(second, 2)
    prepared = "select name from pg_prepared_statements where statement like %(text)s"
    async with second.transaction() as transaction:
        named = await transaction.fetch_sql(prepared, {"text": "insert into kept%"})
    assert len(named) == 1, "what the first one had prepared is used"
    tap.before_it[PUT] = "40001"
    with pytest.raises(DatabaseError):
        await put(second, 3)
    assert await pid(second) == number, "nothing is wrong with the connection"
    await second.close()
    assert numbers(overseer) == [1, 2]
    spares.close()
    overseer.terminate(number)
    assert not alive(overseer, number)


@pytest.mark.parametrize("how", ["killed", "lost before", "lost after"])
async def test_what_the_one_before_left_open_is_rolled_back_for_the_next(
    tap: Tap, overseer: Overseer, database_url: str, how: str
) -> None:
    spares = Spares()
    opens = partial(Database.open, database_url, dial=partial(dial, tap=tap, spares=spares))
    first = await opens()
    number = await pid(first)
    tap.killed_at = COMMIT if how == "killed" else None
    tap.before_it |= {COMMIT: LOST} if how == "lost before" else {}
    tap.after_it |= {PIPELINE: LOST} if how == "lost after" else {}
    with pytest.raises((asyncio.CancelledError, CommitUnknownError, DatabaseUnavailableError)):
        await put(first, 1)
    tap.killed_at = None
    assert free(overseer), "as when a server finds that its client is gone"
    second = await opens()
    assert await pid(second) == number
    await put(second, 2)
    assert numbers(overseer) == [2]
    await first.close()
    await second.close()
    spares.close()
