"""Connections to Postgres: where to, what comes back as which type, and failures in plain words."""

import asyncio
import functools
import re
import select
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import psycopg
import simplejson
from psycopg import waiting
from psycopg.abc import RV, PQGen
from psycopg.adapt import AdaptersMap
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.rows import dict_row
from psycopg.types.datetime import TimestamptzLoader
from psycopg.types.json import Jsonb, JsonbDumper, set_json_dumps, set_json_loads

from zohosync.errors import (
    DatabaseError,
    DatabaseLoginError,
    DatabaseUnavailableError,
    SettingsError,
)
from zohosync.store.trips import Answer, Prepared, Row, Statement, Trips

LET_GO_S = 2.0  # real ones for a cancelled statement: half to tell the server, half to hear
POSTGRES_MIN = 15
GUARDS = {"lock_timeout": "2s", "idle_in_transaction_session_timeout": "2s"}  # D3
STREAM_IDLE = b"set local idle_in_transaction_session_timeout = '60s'"  # locks nobody waits for
# Set once on a direct connection, with what a statement without BEGIN would else inherit.
SESSION = GUARDS | {"default_transaction_isolation": "read committed"}
PREPARE_AFTER = 2  # a direct connection prepares a query of ours when it comes the third time
REPLAN_AFTER = 500
"""Transactions after which it plans anew: a plan for an empty table reads all of a full one."""

# libpq's own; a URL that names one wins. Without them a worker without a network waits for hours.
# (Startup `options` are refused by transaction poolers.)
LINK_DEFAULTS = {
    "application_name": "zohosync",
    "connect_timeout": "10",
    "keepalives_idle": "15",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database is, password and all; only `shown` may be printed."""

    shown: str
    options: dict[str, str]

    def __repr__(self) -> str:
        """Without the password."""
        return f"Address({self.shown})"


class Connection(psycopg.AsyncConnection[Row]):
    """A connection that lets go of a cancelled statement, also where the server stands still."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """As psycopg makes it."""
        super().__init__(*args, **kwargs)
        self.prepare_threshold = None  # psycopg itself prepares nothing: names would clash
        self.prepared = Prepared()

    async def wait(  # type: ignore[override]
        self, gen: PQGen[RV], interval: float = 0.1, **limits: Any
    ) -> RV:
        """Wait for the server, as psycopg does; cancelled, for LET_GO_S more at the most."""
        task = asyncio.current_task()
        asked = task.cancelling() if task else 0
        try:
            done = await waiting.wait_async(gen, self.pgconn.socket, interval=interval, **limits)
            if task and task.cancelling() > asked:  # before Python 3.12 wait_for may swallow it
                raise asyncio.CancelledError
            return done
        except asyncio.CancelledError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                await self._let_go(gen)
            raise

    async def trip(self, *statements: Statement) -> list[Answer]:
        """What came back of each statement, sent in one round trip. As `Trips.make`."""
        return await self.wait(self.trips.make(statements))

    @functools.cached_property
    def trips(self) -> Trips:
        """Its round trips."""
        return Trips(self, self.prepared)

    @property
    def at_rest(self) -> bool:
        """Whether it is in the middle of nothing."""
        idle = self.pgconn.transaction_status == TransactionStatus.IDLE
        return idle and self.pgconn.pipeline_status == PipelineStatus.OFF

    async def _let_go(self, gen: PQGen[Any]) -> None:
        part_s = LET_GO_S / 2
        try:
            await self.cancel_safe(timeout=part_s)
            await waiting.wait_async(gen, self.pgconn.socket, timeout=part_s)
        except psycopg.errors.QueryCanceled:
            pass  # as it was asked to
        except BaseException as error:
            self.pgconn.finish()  # nobody knows what it is in the middle of
            if not isinstance(error, Exception):
                raise


Dial = Callable[[Address], Awaitable[tuple[Connection, bool]]]


class Turn(Protocol):
    """Who may hold a connection: asyncio.Semaphore, or a simulation's own."""

    async def acquire(self) -> object:
        """Wait for it."""

    def release(self) -> None:
        """Give it back."""


def read_address(url: str) -> Address:
    """Read a database URL, or libpq's key=value form; raises SettingsError, never showing it."""
    step = (
        "write it as postgresql://user:password@host:5432/name, with @ : / # ? % in the "
        "password written as %40 %3A %2F %23 %3F %25"
    )
    scheme = re.match(r"\s*([A-Za-z][\w.+-]*)://", url)
    if not url.strip():
        raise SettingsError("No database is named", next_step=step)
    if scheme and scheme[1] not in {"postgresql", "postgres"}:
        raise SettingsError(
            f"A database URL starts with postgresql://, not with {scheme[1]}://", next_step=step
        )
    try:
        found = {key: str(value) for key, value in conninfo_to_dict(url.strip()).items()}
    except psycopg.Error:
        found = {"port": "unreadable"}
    host, port, name = (found.get(key, "") for key in ("host", "port", "dbname"))
    if re.search(r"[^\d,]", port) or "@" in host or "@" in name:
        # a password that was not escaped may stand in any of them: show nothing
        raise SettingsError("The database URL cannot be read", next_step=step) from None
    user = f"{found['user']}@" if "user" in found else ""
    shown = f"postgresql://{user}{host or 'localhost'}{':' + port if port else ''}/{name}"
    return Address(shown, LINK_DEFAULTS | found)


async def connect(address: Address) -> tuple[Connection, bool]:
    """Connect; also tells whether straight to a server (True) or through a transaction pooler.

    A pooler makes up the process id that it gives to a client, so the two differ. Behind one,
    nothing may stay in the session; on a direct connection the time limits are set once.
    Statements are prepared on a direct one only: a pooler forbids it.
    Raises DatabaseUnavailableError, DatabaseLoginError, DatabaseError (too old).
    """

    async def link() -> Connection:
        return await Connection.connect(
            **address.options,  # type: ignore[arg-type]  # libpq's names, all strings
            autocommit=True,
            prepare_threshold=None,
            row_factory=dict_row,
            context=TYPES,
        )

    return await settled(link, address)


async def settled(
    make: Callable[[], Awaitable[Connection]], address: Address
) -> tuple[Connection, bool]:
    """A connection fresh from `make`, looked at and with its limits set; as `connect`."""
    try:
        link = await make()
    except psycopg.Error as error:
        raise connect_failure(error, address) from error
    try:
        if (version := link.info.server_version // 10000) < POSTGRES_MIN:
            raise DatabaseError(
                f"This is Postgres {version}; zohosync needs {POSTGRES_MIN} or newer",
                place=address.shown,
                next_step="upgrade it, or name another database",
            )
        row = await (await link.execute("select pg_backend_pid() as pid")).fetchone()
        direct = row is not None and row["pid"] == link.info.backend_pid
        if direct:
            limits = "; ".join(f"set {name} = '{value}'" for name, value in SESSION.items())
            await link.execute(limits.encode())
            link.prepared.after = PREPARE_AFTER
    except BaseException as error:
        await link.close()
        if isinstance(error, psycopg.Error):
            raise connect_failure(error, address) from error
        raise
    return link, direct


async def is_alive(link: Connection) -> bool:
    """Whether an idle connection still is one: a dead one has something to read (its end)."""
    poll = select.poll()
    poll.register(link.fileno(), select.POLLIN)
    if not poll.poll(0):
        return True
    try:
        await link.execute(b"select 1")
    except psycopg.Error:
        return False
    return True


# What a server, a pooler or the network says when it does not let us in → what, next step.
_CLOSED_DOORS: tuple[tuple[str, type[DatabaseUnavailableError], str, str], ...] = (
    (
        r"password authentication failed|no password supplied|SASL|SCRAM|wrong password",
        DatabaseLoginError,
        "The database refused the password",
        "correct the user and password in the database URL",
    ),
    (
        r'database ".*" does not exist|no such database',
        DatabaseLoginError,
        "There is no database of that name",
        "create it (createdb NAME), or correct the name in the database URL",
    ),
    (
        r'role ".*" does not exist|no such user|[Tt]enant or user not found',
        DatabaseLoginError,
        "The database does not know that user",
        "correct the user in the database URL",
    ),
    (
        r"no pg_hba.conf entry|permission denied for database|Peer authentication failed",
        DatabaseLoginError,
        "The database does not let this user in from here",
        "have it allowed (pg_hba.conf, network restrictions), or try ?sslmode=require",
    ),
    (
        r"too many (clients|connections)|connection slots|[Mm]ax ?clients|no more connections",
        DatabaseUnavailableError,
        "The database has no connection left",
        "lower the number of workers or connections, or use its transaction pooler",
    ),
    (
        r"starting up|shutting down|not yet accepting|in recovery mode",
        DatabaseUnavailableError,
        "The database is starting or stopping",
        "try again in a moment",
    ),
    (
        r"resolve host|translate host name|Name or service not known",
        DatabaseUnavailableError,
        "The database's host name is not known",
        "correct the host in the database URL",
    ),
    (
        r"SSL|certificate",
        DatabaseUnavailableError,
        "No encrypted connection to the database could be made",
        "correct sslmode and sslrootcert in the database URL",
    ),
    (
        r"refused|No such file or directory|[Tt]imeout|timed out|unreachable|No route",
        DatabaseUnavailableError,
        "No database answers",
        "start it, or correct host and port in the database URL",
    ),
)


def connect_failure(error: psycopg.Error, address: Address) -> DatabaseError:
    """Say why there is no connection."""
    said = str(error)
    for pattern, kind, what, step in _CLOSED_DOORS:
        if re.search(pattern, said):
            again = kind is DatabaseUnavailableError
            return kind(what, place=address.shown, next_step=step, retryable=again)
    return DatabaseUnavailableError(
        f"The database cannot be reached: {' '.join(said.split())}",
        place=address.shown,
        next_step="correct the database URL",
        retryable=True,
    )


_AGAIN = {
    "40001": "another transaction changed the same rows",
    "40P01": "it and another transaction waited for each other",
    "55P03": f"a lock was not free within {GUARDS['lock_timeout']}",
}
_NOT_MIGRATED = {"3F000", "42P01", "42703", "42883"}  # no such schema, table, column, function
_LOST = ("08", "57P01", "57P02", "57P03", "25P03", "25P04")


def is_outdated(error: psycopg.Error) -> bool:
    """Whether a statement was prepared before its tables changed: it stays so on its connection.

    By the server's function that says so: its words are in the server's language.
    """
    return error.sqlstate == "0A000" and error.diag.source_function == "RevalidateCachedQuery"


def failure(error: psycopg.Error, what: str, address: Address) -> DatabaseError:
    """Say what went wrong with a statement, which `what` names.

    The server's DETAIL is left out: it quotes rows.
    """
    state = error.sqlstate or ""
    said = error.diag.message_primary or " ".join(str(error).split())
    lost = state.startswith(_LOST) or (not state and isinstance(error, psycopg.OperationalError))
    if lost:
        return DatabaseUnavailableError(
            f"The connection was lost during {what}: {said}",
            place=address.shown,
            next_step="see that the database runs",
            retryable=True,
            sqlstate=state or None,
        )
    step, retryable = "", False
    if state in _AGAIN or is_outdated(error):
        said, step, retryable = _AGAIN.get(state, said), "run it again", True
    elif state in _NOT_MIGRATED:
        step = "if the schema is out of date, run `zohosync migrate`"
    elif state == "42501":
        step = "grant the role that right, or use another role in the database URL"
    elif state == "25006":
        step = "the database is read-only (a standby?): name the primary in the database URL"
    elif state in {"53100", "53200"}:
        step = "the database server is out of disk or memory"
    return DatabaseError(
        f"{what[:1].upper()}{what[1:]} failed: {said}",
        place=address.shown,
        next_step=step,
        retryable=retryable,
        sqlstate=state or None,
        constraint=error.diag.constraint_name,
    )


def exact_json(value: object) -> str:
    """JSON with Decimals as plain numbers, digit for digit."""
    return simplejson.dumps(value, use_decimal=True, ensure_ascii=False)


jsonb = Jsonb
"""A parameter of type jsonb; lists need it said (a bare list is a Postgres array)."""


class _InstantLoader(TimestamptzLoader):
    """timestamptz as aware UTC, whatever the session's time zone."""

    def load(self, data: Any) -> datetime:
        try:
            return datetime.fromisoformat(str(data, "ascii")).astimezone(UTC)
        except (ValueError, OverflowError):  # infinity, BC, other styles: psycopg knows, or refuses
            found = super().load(data)
        try:
            return found.astimezone(UTC)
        except OverflowError:
            raise psycopg.DataError(f"timestamp out of range: {bytes(data)!r}") from None


class _ExactJsonb(JsonbDumper):
    """A dict as jsonb, as `jsonb()` does it."""

    _dumps = staticmethod(exact_json)


def _read_json(text: str | bytes) -> Any:
    try:
        return simplejson.loads(text, use_decimal=True)
    except RecursionError:  # else one such row would end the worker
        raise psycopg.DataError("a JSON value is nested too deeply to be read") from None


def _types() -> AdaptersMap:
    types = AdaptersMap(psycopg.adapters)
    set_json_loads(_read_json, types)
    set_json_dumps(exact_json, types)
    types.register_dumper(dict, _ExactJsonb)
    types.register_loader("timestamptz", _InstantLoader)
    return types


TYPES = _types()
SPELT = {each.oid: each.regtype for each in TYPES.types if each.name not in {"bpchar", "bit"}}
"""Postgres's own types, as its `format_type` spells them with a modifier of -1."""
