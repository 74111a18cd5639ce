"""The one door to Postgres: short transactions over few connections, through a pooler or not.

Nothing depends on session state: a transaction pooler (PgBouncer, Supavisor) may stand in between.
"""

import asyncio
import functools
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from importlib.resources import files
from types import TracebackType
from typing import Any, Self
from weakref import WeakKeyDictionary

import psycopg

from zohosync.errors import CommitUnknownError, DatabaseError, DatabaseUnavailableError
from zohosync.store.connection import (
    GUARDS,
    REPLAN_AFTER,
    SPELT,
    STREAM_IDLE,
    Address,
    Connection,
    Dial,
    Turn,
    connect,
    failure,
    is_alive,
    is_outdated,
    jsonb,
    read_address,
)
from zohosync.store.trips import Answer, Params, Row, Statement

__all__ = ["Database", "Row", "Transaction", "jsonb", "query_text"]

BEGIN = "begin isolation level read committed"


@functools.cache
def _query(name: str) -> bytes:
    text = files("zohosync.store").joinpath("queries", f"{name}.sql").read_bytes()
    return re.sub(rb"\A(--.*\n)+|(?<=\n) +(--.*\n)?", b"", text)  # over 4 kB psycopg reads anew


def query_text(name: str) -> str:
    """The text of queries/<name>.sql, as it is sent."""
    return _query(name).decode()


class Transaction:
    """An open transaction; it commits when its block ends and rolls back when that raises.

    `query` is the name of a file in queries/, parameters go by name. All raise DatabaseError.
    """

    __slots__ = ("_address", "_first", "_link", "committing", "failed")

    def __init__(self, link: Connection, address: Address, first: Sequence[bytes]) -> None:
        """Built by Database.transaction only; `first` goes ahead of the first statement."""
        self._link, self._address, self._first = link, address, first
        self.committing = self.failed = False

    async def fetch(self, query: str, /, **params: Any) -> list[Row]:
        """All rows of a query."""
        return await self._fetch(_query(query), params, f"the query {query}")

    async def fetch_one(self, query: str, /, **params: Any) -> Row | None:
        """The first row of a query, None when there is none."""
        return next(iter(await self.fetch(query, **params)), None)

    async def execute(self, query: str, /, **params: Any) -> int:
        """Run a query; returns the number of rows it touched."""
        return (await self._run(_query(query), params, f"the query {query}")).touched

    async def fetch_sql(
        self, text: str, params: Params | None = None, *, last: bool = False
    ) -> list[Row]:
        """All rows of a statement that stands in no file (a mapping). % is plain without params.

        `last`: COMMIT goes with it.
        """
        return await self._fetch(text.encode(), params, "a statement", last=last)

    async def execute_sql(self, text: str, params: Params | None = None) -> int:
        """Run generated SQL, several statements too when there are no params; rows of the last."""
        return (await self._run(text.encode(), params, "a statement")).touched

    async def describe_sql(self, text: str) -> list[tuple[str, str]]:
        """Column names and types (as SQL spells them) of a statement that ends in `limit 0`."""
        answer = (await self._trip("a statement", (text.encode(), None)))[0]
        found = list(zip(answer.names, answer.types, strict=True))
        rest = [code for _, code in found if code not in SPELT]
        text = "select oid::int8, format_type(oid, -1) from pg_type where oid = any(%(codes)s)"
        rows = await self.fetch_sql(text, {"codes": rest}) if rest else []
        names = SPELT | {row["oid"]: row["format_type"] for row in rows}
        return [(name, names[code]) for name, code in found]

    async def stream_sql(self, text: str, *, rows: int = 1000) -> AsyncGenerator[list[Row], None]:
        """The rows of a statement in batches of `rows`, each of which may be worked on for 60 s."""
        try:
            await self._trip("a statement", (STREAM_IDLE, None))
            async with self._link.cursor("zohosync_stream") as cursor:
                await cursor.execute(text.encode())
                while batch := await cursor.fetchmany(rows):
                    yield batch
        except psycopg.Error as error:
            raise failure(error, "a statement", self._address) from error

    async def batch(self, *calls: tuple[str, Params], last: bool = False) -> list[list[Row]]:
        """The rows of several queries, sent in one round trip; `last`: COMMIT goes with them.

        They run in order, each with its own snapshot: what one locks, the next ones see as it is.
        """
        asked = [(_query(name), params) for name, params in calls]
        what = f"the batch {', '.join(name for name, _ in calls)}"
        answers = await self._trip(what, *asked, last=last)
        return [_rows(answer, what, self._address) for answer in answers]

    async def _fetch(
        self, text: bytes, params: Params | None, what: str, *, last: bool = False
    ) -> list[Row]:
        return _rows(await self._run(text, params, what, last=last), what, self._address)

    async def _run(
        self, text: bytes, params: Params | None, what: str, *, last: bool = False
    ) -> Answer:
        if params is not None or last:
            return (await self._trip(what, (text, params), last=last))[0]
        if self._first:
            await self._trip(what)
        try:  # several statements, it may be: those go alone
            cursor = await self._link.execute(text)
        except psycopg.Error as error:
            raise await self._failure(error, what) from error
        assert cursor.pgresult is not None
        return self._link.trips.answer(cursor.pgresult)

    async def _trip(self, what: str, *statements: Statement, last: bool = False) -> list[Answer]:
        """What came back of each; `last`: COMMIT goes with them."""
        first, self._first, self.committing = self._first, (), last
        ahead, commit = [(text, None) for text in first], [(b"commit", None)] if last else []
        try:
            answers = await self._link.trip(*ahead, *statements, *commit)
        except BaseException as error:
            self.failed = True
            if self._link.at_rest:  # none has left: what goes ahead still has to
                self._first = first
            if isinstance(error, psycopg.Error):
                raise await self._failure(error, what) from error
            raise
        return answers[len(first) :][: len(statements)]

    async def _failure(self, error: psycopg.Error, what: str) -> DatabaseError:
        said = failure(error, what, self._address)
        self.failed = not isinstance(said, DatabaseUnavailableError)  # the server said no
        if not self.failed:
            await self._link.close()
        elif is_outdated(error):
            self._link.prepared.forget()
        return said


class Database:
    """A database by its URL: at most `connections` transactions at a time, the rest queue up.

    With `now` it is virtual time's: one connection, which is told the instant as `zohosync.now`.
    """

    def __init__(self, links: "_Links") -> None:
        """Use Database.open."""
        self._links = links

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        connections: int = 8,
        now: Callable[[], datetime] | None = None,
        turn: Turn | None = None,
        dial: Dial = connect,
    ) -> Self:
        """Connect once, to fail now rather than later; `turn` and `dial` are a simulation's own.

        Raises SettingsError for a URL that cannot be read, else what `connect` raises.
        """
        turn = turn or asyncio.Semaphore(1 if now else connections)
        links = _Links(read_address(url), turn, dial, now)
        await links.put(*await links.take())
        return cls(links)

    @property
    def place(self) -> str:
        """The address without its password, for messages."""
        return self._links.address.shown

    async def close(self) -> None:
        """Close every connection; those in use close when their transaction ends."""
        await self._links.close()

    def transaction(
        self,
        *,
        read_only: bool = False,
        statement_timeout_s: float | None = None,
        row_security_off: bool = False,
        time_zone: str | None = None,
    ) -> AbstractAsyncContextManager[Transaction, None]:
        """`async with database.transaction() as t:` one transaction, READ COMMITTED.

        Waiting for a lock and idling inside are limited to 2 s each. `row_security_off` makes a
        read that policies would filter an error. Transactions do not nest.
        """
        begin = [f"{BEGIN} read {'only' if read_only else 'write'}"]
        local = ["set_config('row_security', 'off', true)"] if row_security_off else []
        if (limit := statement_timeout_s) is not None:
            local.append(f"set_config('statement_timeout', '{int(limit * 1000)}', true)")
        if time_zone is not None:  # a name that ZoneInfo knows: no quote in it
            local.append(f"set_config('timezone', '{time_zone}', true)")
        return _Scope(self._links, [*begin, *([f"select {', '.join(local)}"] if local else [])])

    async def fetch(self, query: str, /, **params: Any) -> list[Row]:
        """All rows of a query, in a transaction of its own."""
        async with _Scope(self._links, alone=True) as transaction:
            return await transaction.fetch(query, **params)

    async def fetch_one(self, query: str, /, **params: Any) -> Row | None:
        """The first row of a query, in a transaction of its own."""
        async with _Scope(self._links, alone=True) as transaction:
            return await transaction.fetch_one(query, **params)

    async def execute(self, query: str, /, **params: Any) -> int:
        """Run a query in a transaction of its own; returns the number of rows it touched."""
        async with _Scope(self._links, alone=True) as transaction:
            return await transaction.execute(query, **params)

    async def batch(self, *calls: tuple[str, Params]) -> list[list[Row]]:
        """The rows of several queries in a transaction of their own, in one round trip."""
        async with _Scope(self._links, alone=True) as transaction:
            return await transaction.batch(*calls)


class _Links:
    """The connections of a Database: made when needed, lent to one task at a time.

    psycopg's pool hides why there is no connection, and keeps house by the real clock.
    """

    def __init__(
        self, address: Address, turn: Turn, dial: Dial, now: Callable[[], datetime] | None
    ) -> None:
        self.address = address
        self.now = now
        self._slots = turn
        self._dial = dial
        self._idle: list[tuple[Connection, bool]] = []
        self._holders: set[asyncio.Task[Any] | None] = set()
        self.told: WeakKeyDictionary[Connection, str] = WeakKeyDictionary()  # the instant
        self._uses: WeakKeyDictionary[Connection, int] = WeakKeyDictionary()
        self._closed = False

    async def take(self) -> tuple[Connection, bool]:
        """A connection that was alive a moment ago, once a slot is free; and if it is direct."""
        task = asyncio.current_task()
        if task in self._holders:
            raise RuntimeError("a transaction inside a transaction: it would wait for itself")
        await self._slots.acquire()
        try:
            taken = None
            while taken is None and self._idle:
                taken = self._idle.pop()
                if not await is_alive(taken[0]):
                    await taken[0].close()
                    taken = None
            taken = taken or await self._dial(self.address)
        except BaseException:
            self._slots.release()
            raise
        self._holders.add(task)
        return taken

    def plans_are_old(self, link: Connection) -> bool:
        """Whether it is time to plan anew what a direct connection has prepared; counts."""
        self._uses[link] = (self._uses.get(link, 0) + 1) % REPLAN_AFTER
        return not self._uses[link]

    async def put(self, link: Connection, direct: bool) -> None:
        """Keep a connection for the next one, unless it is broken or in the middle of something."""
        self._holders.discard(asyncio.current_task())
        try:
            if self._closed or not link.at_rest:
                await link.close()
            else:
                self._idle.append((link, direct))
        finally:
            self._slots.release()

    async def close(self) -> None:
        self._closed = True
        while self._idle:
            await self._idle.pop()[0].close()


class _Scope:
    """What `async with` needs of a transaction."""

    __slots__ = ("_alone", "_begin", "_direct", "_link", "_links", "_transaction")

    def __init__(
        self, links: _Links, begin: list[str] | None = None, *, alone: bool = False
    ) -> None:
        """`alone`: one statement only, which a direct connection runs without BEGIN and COMMIT."""
        self._links, self._alone = links, alone
        self._begin = begin or [f"{BEGIN} read write"]

    async def __aenter__(self) -> Transaction:
        """Begin, in one round trip with the first statement and all that has to hold inside."""
        links = self._links
        self._link, self._direct = await links.take()
        self._alone = self._alone and self._direct
        first = ["discard plans"] if self._direct and links.plans_are_old(self._link) else []
        if not self._alone:
            first += self._begin
        if not self._direct and not self._alone:
            first += [f"set local {name} = '{value}'" for name, value in GUARDS.items()]
        if links.now is not None:
            if links.told.get(self._link) != (instant := links.now().isoformat()):
                first.append(f"set {'' if self._alone else 'local '}zohosync.now = '{instant}'")
            if self._alone:
                links.told[self._link] = instant
        told = [statement.encode() for statement in first]
        self._transaction = Transaction(self._link, links.address, told)
        return self._transaction

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Commit, or roll back on any error; a cancelled one loses its connection."""
        try:
            if error is not None:
                await self._undo(error)
            elif self._transaction.failed:
                raise self._rolled_back()
            elif not self._link.at_rest:
                await self._commit()
        except BaseException:
            await self._link.close()
            raise
        finally:
            await self._links.put(self._link, self._direct)

    async def _commit(self) -> None:
        try:
            (done,) = await self._link.trip((b"commit", None))
        except psycopg.Error as error:
            if self._link.closed:
                raise self._unknown() from error
            raise failure(error, "COMMIT", self._links.address) from error
        if done.status == b"ROLLBACK":  # an error inside was caught and passed over
            raise self._rolled_back()

    async def _undo(self, error: BaseException) -> None:
        self._links.told.pop(self._link, None)
        if self._link.closed:
            unsure = self._alone or self._transaction.committing
            if unsure and isinstance(error, DatabaseUnavailableError):
                raise self._unknown() from error
        elif not isinstance(error, Exception):
            await self._link.close()  # cancelled: do not wait for anything more
        elif not self._link.at_rest:
            try:
                await self._link.trip((b"rollback", None))
            except psycopg.Error:  # the error that brought us here says more
                await self._link.close()

    def _rolled_back(self) -> DatabaseError:
        place = self._links.address.shown
        return DatabaseError("The transaction was rolled back: a statement had failed", place=place)

    def _unknown(self) -> CommitUnknownError:
        return CommitUnknownError(
            "The database went away while a transaction was being committed",
            place=self._links.address.shown,
            next_step="look whether it landed before doing it again",
        )


def _rows(answer: Answer, what: str, address: Address) -> list[Row]:
    try:
        return answer.rows()
    except psycopg.Error as error:  # a value that Python cannot hold: infinity, 20000-01-01
        raise failure(error, what, address) from error
