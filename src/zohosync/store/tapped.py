"""Connections that a simulation listens in on: it may delay, fail or end each statement.

A statement on such a connection runs to its end before anything else of its process does. So a
simulated run depends on nothing but its seed, and a real Postgres answers all the same.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, NoReturn, Protocol, cast

import psycopg
from psycopg import waiting
from psycopg.abc import RV, PQGen
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from zohosync.store.connection import GUARDS, TYPES, Address, Connection, settled
from zohosync.store.trips import Answer, Row, Statement

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
    """A connection with a tap; `tap` is set once, right after it was made.

    Closed where nothing went wrong, its server process goes to the `spares`, if there are any.
    """

    tap: Tap
    spares: "Spares | None" = None
    sound = True

    async def wait(  # type: ignore[override]
        self, gen: PQGen[RV], interval: float = 0.1, **limits: Any
    ) -> RV:
        """Wait for the server, and let nothing else run meanwhile."""
        try:
            return waiting.wait(gen, self.pgconn.socket, interval, **limits)
        except BaseException as error:
            self.sound = isinstance(error, psycopg.Error) and error.sqlstate is not None
            raise

    async def execute(self, query: Any, params: Any = None, **kwargs: Any) -> Any:
        """As psycopg does it, if the tap lets it."""
        text = query if isinstance(query, bytes) else str(query).encode()
        (asked,) = await self._heard((text, None))
        cursor = await super().execute(query if asked[0] == text else asked[0], params, **kwargs)
        await self._ended(text)
        return cursor

    async def trip(self, *statements: Statement) -> list[Answer]:
        """As its parent does it, if the tap lets it."""
        answers = await super().trip(*await self._heard(*statements))
        await self._ended(statements[0][0] if len(statements) == 1 else PIPELINE)
        return answers

    async def _heard(self, *statements: Statement) -> list[Statement]:
        """What runs in their place: the server's own errors, where the tap wants one."""
        heard: list[Statement] = []
        for text, params in statements:
            verdict = self.tap.before(text)
            if verdict == LOST:
                await self._break()
            heard.append((_RAISE % verdict.encode(), None) if verdict else (text, params))
        return heard

    async def _ended(self, text: bytes) -> None:
        if self.tap.after(text) == LOST:
            await self._break()

    async def close(self) -> None:
        """Close; whoever comes next finds no lock of ours."""
        spares = self.spares
        if spares is not None and spares.open and self.sound and not self.closed:
            heir = self._heir()
            if heir.at_rest:
                spares.links.append(heir)
                self.pgconn = spares.ended
        busy = not self.closed and not self.at_rest
        backend_pid = self.info.backend_pid if busy else 0
        await super().close()
        if backend_pid:
            self.tap.broken(backend_pid)

    def _heir(self) -> "TappedConnection":
        """Another one with the same server process and its plans; what was open is rolled back.

        So does a server that finds its client gone.
        """
        heir = TappedConnection(self.pgconn, self.row_factory)
        heir._autocommit, heir._adapters = True, self._adapters
        heir.prepared, heir.spares = self.prepared, self.spares
        if not heir.at_rest:
            with suppress(psycopg.Error):
                waiting.wait(heir.trips.make([(b"rollback", None)]), heir.pgconn.socket, 0.1)
        return heir

    async def _break(self) -> NoReturn:
        await self.close()
        raise psycopg.OperationalError("server closed the connection unexpectedly")


_RAISE = b"do $$ begin raise exception 'made on purpose' using errcode = '%s'; end $$"


class Spares:
    """Server processes between two clients, as behind a pooler; for one address.

    A simulated process lives for a second of ours, and a new server process plans all anew.
    """

    def __init__(self) -> None:
        """Empty."""
        self.links: list[TappedConnection] = []
        self.open = True
        self.ended = psycopg.pq.PGconn.connect_start(b"host=/nowhere")
        self.ended.finish()

    def close(self) -> None:
        """End them all; none comes any more."""
        self.open = False
        for link in self.links:
            link.pgconn.finish()
        self.links.clear()


async def dial(address: Address, tap: Tap, spares: Spares | None = None) -> tuple[Connection, bool]:
    """Connect as `connection.connect` does. Raises what that raises."""
    refusal = tap.dial()
    if refusal is None and spares is not None and spares.links:
        taken = spares.links.pop()
        taken.tap = tap
        return taken, True

    async def link() -> Connection:
        if refusal is not None:
            raise psycopg.OperationalError(f"connection failed: FATAL: {refusal}")
        made = waiting.wait_conn(
            TappedConnection._connect_gen(make_conninfo("", **address.options))  # noqa: SLF001
        )
        made.tap, made.spares = tap, spares
        made._autocommit = True  # noqa: SLF001
        made._adapters = type(TYPES)(TYPES)  # noqa: SLF001
        made.row_factory = cast("Any", dict_row)
        return made

    made, direct = await settled(link, address)
    # Virtual time knows no waiting; a busy machine must not end what is slow only in real time.
    limits = "; ".join(f"set {name} = '10min'" for name in GUARDS)
    await psycopg.AsyncConnection.execute(made, limits.encode())
    made.prepared.after = 0
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
