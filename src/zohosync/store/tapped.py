"""Connections that a simulation listens in on: it may delay, fail or end each statement.

A statement on such a connection runs to its end before anything else of its process does. So a
simulated run depends on nothing but its seed, and a real Postgres answers all the same.
"""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol, cast

import psycopg
from psycopg import waiting
from psycopg.abc import RV, PQGen
from psycopg.conninfo import make_conninfo
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row

from zohosync.store.connection import GUARDS, TYPES, Address, Connection, Row, settled

LOST = "lost"
"""What a tap says instead of a SQLSTATE when the connection is to break."""

PIPELINE = b"pipeline"
"""Stands for the statements of a pipeline, when they have run."""


class Tap(Protocol):
    """What listens in. Each method may raise CancelledError: the process was killed there."""

    def dial(self) -> str | None:
        """A connection is wanted; what the server says when it refuses, None when it does not."""
        ...

    def before(self, statement: bytes) -> str | None:
        """A statement is about to run: None, a SQLSTATE, or LOST."""
        ...

    def after(self, statement: bytes) -> str | None:
        """It ran, and the server has answered: None, or LOST when nobody hears the answer."""
        ...

    def broken(self, backend_pid: int) -> None:
        """A connection was closed in the middle of something: return when the server knows."""
        ...


class TappedConnection(Connection):
    """A connection with a tap; `tap` is set once, right after it was made."""

    tap: Tap

    async def wait(  # type: ignore[override]
        self, gen: PQGen[RV], interval: float = 0.1, **limits: Any
    ) -> RV:
        """Wait for the server, and let nothing else run meanwhile."""
        return waiting.wait(gen, self.pgconn.socket, interval, **limits)

    async def execute(self, query: Any, params: Any = None, **kwargs: Any) -> Any:
        """As psycopg does it, if the tap lets it."""
        text = query if isinstance(query, bytes) else str(query).encode()
        verdict = self.tap.before(text)
        if verdict == LOST:
            await self._break()
        elif verdict is not None and self._pipeline is not None:
            # When the server's own error would be heard depends on its speed: here it is at once.
            await self.close()
            raise psycopg.errors.lookup(verdict)("made on purpose")
        elif verdict is not None:
            query, params = _RAISE % verdict.encode(), None
        cursor = await super().execute(query, params, prepare=params is not None, **kwargs)
        if self._pipeline is None and self.tap.after(text) == LOST:
            await self._break()
        return cursor

    async def command(self, statement: bytes) -> None:
        """As its parent does it, if the tap lets it."""
        await self.execute(statement)

    @asynccontextmanager
    async def pipeline(self) -> AsyncIterator[psycopg.AsyncPipeline]:
        """Statements that are sent together; the tap hears of their end as of one."""
        async with super().pipeline() as pipeline:
            yield pipeline
        if self.tap.after(PIPELINE) == LOST:
            await self._break()

    async def close(self) -> None:
        """Close; whoever comes next finds no lock of ours."""
        busy = not self.closed and self.info.transaction_status != TransactionStatus.IDLE
        await self._end(self.info.backend_pid if busy else 0)

    async def _break(self) -> None:
        await self._end(0 if self.closed else self.info.backend_pid)
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    async def _end(self, backend_pid: int) -> None:
        await super().close()
        if backend_pid:
            self.tap.broken(backend_pid)


_RAISE = b"do $$ begin raise exception 'made on purpose' using errcode = '%s'; end $$"


async def dial(address: Address, tap: Tap) -> tuple[Connection, bool]:
    """Connect as `connection.connect` does. Raises what that raises."""
    refusal = tap.dial()

    async def link() -> Connection:
        if refusal is not None:
            raise psycopg.OperationalError(f"connection failed: FATAL: {refusal}")
        made = waiting.wait_conn(
            TappedConnection._connect_gen(make_conninfo("", **address.options))  # noqa: SLF001
        )
        made.tap = tap
        made._autocommit = True  # noqa: SLF001
        made._adapters = type(TYPES)(TYPES)  # noqa: SLF001
        made.prepared_max = None
        made.row_factory = cast("Any", dict_row)
        return made

    made, direct = await settled(link, address)
    # Virtual time knows no waiting; a busy machine must not end what is slow only in real time.
    for name in GUARDS:
        await psycopg.AsyncConnection.execute(made, f"set {name} = '10min'".encode())
    return made, direct


class Overseer:
    """A connection beside the simulated ones, for the world around them; blocks while it works."""

    def __init__(self, url: str) -> None:
        """Connects. Raises psycopg's errors: there is nobody to tell but a developer."""
        self._link = psycopg.Connection.connect(
            url, autocommit=True, row_factory=dict_row, context=TYPES
        )

    def transact(self, statements: Iterable[tuple[str, Mapping[str, Any] | None]]) -> None:
        """Run statements as one transaction."""
        with self._link.transaction():
            for text, params in statements:
                self._link.execute(text.encode(), params)

    def run(self, text: str) -> None:
        """Run statements that may stand in no transaction."""
        self._link.execute(text.encode())

    def rows(self, text: str, params: Mapping[str, Any] | None = None) -> list[Row]:
        """The rows of a statement."""
        return self._link.execute(text.encode(), params).fetchall()

    def terminate(self, backend_pid: int) -> None:
        """End a server process, and return when all that it held is free."""
        self._link.execute(
            "select pg_terminate_backend(pid, 10000) from pg_stat_activity where pid = %s",
            (backend_pid,),
        )

    def close(self) -> None:
        """Close the connection."""
        self._link.close()
