"""Real Postgres for the tests: one server a process, one database of its own for each test."""

import asyncio
import contextlib
import itertools
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from socket import AF_UNIX
from socket import socket as connecting
from tempfile import TemporaryDirectory

import psycopg
import pytest
from psycopg import sql

from zohosync.store.database import Database
from zohosync.store.embedded import EmbeddedPostgres
from zohosync.store.migrate import migrate
from zohosync.testing.world import quick_folder

TEMPLATE = "zohosync_template"
COUNTED = ("crash points", "virtual hours", "faults")
"""What tests count and a run tells in the end."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell what was counted, and which guards were switched off and who noticed."""
    told = [
        found
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", "") == "call"
        for found in report.user_properties
    ]
    totals = {name: sum(value for key, value in told if key == name) for name in COUNTED}
    guards = [value for key, value in told if key == "guard"]
    if guards:
        terminalreporter.section(f"{len(guards)} guards switched off, one at a time")
        terminalreporter.write_line("\n".join(sorted(guards)))
    if any(totals.values()):
        terminalreporter.section("simulated")
        terminalreporter.write_line(
            ", ".join(f"{total:,.10g} {name}" for name, total in totals.items() if total)
        )


# Virtual time: what Database.open(…, now=…) says is the time; without it, the real one.
CURRENT_TIME = """
create or replace function zohosync.current_time() returns timestamptz
  language sql volatile parallel safe as $$
    select coalesce(nullif(current_setting('zohosync.now', true), '')::timestamptz,
                    clock_timestamp())
  $$
"""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running server and its databases."""

    postgres: EmbeddedPostgres
    admin: psycopg.Connection
    numbers: Iterator[int]

    def create(self, template: str) -> str:
        """Make a database like that one; returns its name."""
        name = f"test_{next(self.numbers)}"
        self.admin.execute(
            sql.SQL("create database {} template {} strategy file_copy").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
        return name

    def drop(self, name: str) -> None:
        """Drop a database, whoever is still connected."""
        self.admin.execute(
            sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name))
        )


def system_binaries() -> Path | None:
    """The machine's own Postgres, the oldest one that will do: the floor is what needs testing."""
    found = [
        (int(binary.parts[-3]), binary.parent)
        for binary in Path("/usr/lib/postgresql").glob("*/bin/postgres")
        if binary.parts[-3].isdigit()
    ]
    fit = sorted((major, directory) for major, directory in found if major >= 15)
    return fit[0][1] if fit else None


@pytest.fixture(scope="session")
def clusters() -> Iterator[Callable[[str], Cluster]]:
    """Servers by name (embedded, system), each started at its first use."""
    running: dict[str, Cluster] = {}
    # Not pytest's own folder: where root runs the tests, only root may enter that.
    with TemporaryDirectory(prefix="zohosync-tests-", dir=quick_folder()) as folder:

        def cluster(name: str) -> Cluster:
            if name not in running:
                bin_dir = system_binaries() if name == "system" else None
                running[name] = start(Path(folder, name), bin_dir)
            return running[name]

        Path(folder).chmod(0o711)  # the server runs as somebody else than root
        try:
            yield cluster
        finally:
            for each in running.values():
                each.admin.close()
                each.postgres.close(wait_s=30)


def start(root: Path, bin_dir: Path | None) -> Cluster:
    """Start a server with a migrated database to copy."""
    postgres = EmbeddedPostgres(root, bin_dir=bin_dir, fsync=False)
    admin = psycopg.connect(postgres.open(), autocommit=True)
    cluster = Cluster(postgres, admin, itertools.count(1))
    admin.execute(f"create database {TEMPLATE}")
    asyncio.run(prepare(postgres.url(TEMPLATE)))
    return cluster


async def prepare(url: str) -> None:
    """Migrate, and let time be told."""
    database = await Database.open(url, connections=1)
    await migrate(database)
    async with database.transaction() as transaction:
        await transaction.execute_sql(CURRENT_TIME)
    await database.close()


@pytest.fixture
def embedded_cluster(clusters: Callable[[str], Cluster]) -> Cluster:
    """The server from the wheel."""
    return clusters("embedded")


@pytest.fixture(params=["embedded", "system"])
def any_cluster(request: pytest.FixtureRequest, clusters: Callable[[str], Cluster]) -> Cluster:
    """Both servers, one after the other; the machine's own only where it has one."""
    name = str(request.param)
    if name == "system" and system_binaries() is None:
        pytest.skip("this machine has no Postgres 15 or newer of its own")
    return clusters(name)


@pytest.fixture
def database_url(embedded_cluster: Cluster) -> Iterator[str]:
    """A migrated database of this test's own."""
    name = embedded_cluster.create(TEMPLATE)
    yield embedded_cluster.postgres.url(name)
    embedded_cluster.drop(name)


@pytest.fixture
def empty_database_url(embedded_cluster: Cluster) -> Iterator[str]:
    """A database with nothing in it."""
    name = embedded_cluster.create("template0")
    yield embedded_cluster.postgres.url(name)
    embedded_cluster.drop(name)


@pytest.fixture
def any_database_url(any_cluster: Cluster) -> Iterator[str]:
    """A migrated database; the test runs on the wheel's Postgres and on the machine's."""
    name = any_cluster.create(TEMPLATE)
    yield any_cluster.postgres.url(name)
    any_cluster.drop(name)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A migrated database, opened."""
    opened = await Database.open(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def any_database(any_database_url: str) -> AsyncIterator[Database]:
    """As `database`, on both servers."""
    opened = await Database.open(any_database_url)
    yield opened
    await opened.close()


@pytest.fixture
def pgbouncer_url(embedded_cluster: Cluster, database_url: str) -> Iterator[str]:
    """The same database through a transaction pooler, where PgBouncer is installed."""
    binary = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if binary is None:
        pytest.skip("PgBouncer is not installed here")
    yield from bouncer(Path(binary), embedded_cluster, database_url)


def bouncer(binary: Path, cluster: Cluster, url: str) -> Iterator[str]:
    """Run PgBouncer with four server connections for any number of clients."""
    home = cluster.postgres.home
    account = home.account()
    runs_as = {"user": account.uid, "group": account.gid, "extra_groups": []} if account else {}
    with TemporaryDirectory(prefix="zohosync-bouncer-") as folder:
        here = Path(folder)
        (here / "users.txt").write_text('"postgres" ""\n')
        (here / "bouncer.ini").write_text(
            f"[databases]\n* = host={home.socket_dir} port=5432\n[pgbouncer]\n"
            f"listen_addr =\nlisten_port = 6432\nunix_socket_dir = {here}\n"
            f"auth_type = trust\nauth_file = {here}/users.txt\n"
            "pool_mode = transaction\ndefault_pool_size = 4\nmax_client_conn = 100\n"
        )
        if account:
            here.chmod(0o700)
            shutil.chown(here, account.uid, account.gid)
        server = subprocess.Popen(
            [str(binary), str(here / "bouncer.ini")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            **runs_as,  # type: ignore[call-overload]
        )
        through = url.replace(f"host={str(home.socket_dir).replace('/', '%2F')}", f"host={here}")
        through = through.replace("port=5432", "port=6432")
        try:
            wait_for(here / ".s.PGSQL.6432", server)
            yield through
        finally:
            server.terminate()
            server.wait()


def wait_for(socket: Path, server: subprocess.Popen[bytes]) -> None:
    """Return once somebody listens on the socket; its file is there a little earlier."""
    for _ in range(500):
        with contextlib.suppress(OSError), connecting(AF_UNIX) as trying:
            trying.connect(str(socket))
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(0.02)
    raise AssertionError(f"PgBouncer did not start: exit code {server.poll()}")
