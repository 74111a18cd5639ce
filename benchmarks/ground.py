"""What every measurement stands on: a fresh embedded Postgres in a temporary folder, fsync on."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
from psycopg import sql

from zohosync.store.database import Database
from zohosync.store.embedded import EmbeddedPostgres
from zohosync.store.migrate import migrate

TEMPLATE = "bench_template"


@dataclass(frozen=True, slots=True)
class Ground:
    """A running server; each measurement gets databases of its own."""

    postgres: EmbeddedPostgres
    version: str
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of a migrated, empty database."""
        name = f"bench_{next(self._numbers)}"
        self._run("create database {} template {} strategy file_copy", name, TEMPLATE)
        try:
            yield self.postgres.url(name)
        finally:
            self._run("drop database {} with (force)", name)

    def _run(self, text: str, *names: str) -> None:
        with psycopg.connect(self.postgres.url(), autocommit=True) as link:
            link.execute(sql.SQL(text).format(*map(sql.Identifier, names)))


@contextmanager
def ground() -> Iterator[Ground]:
    """Start the server, stop it at the end and leave nothing behind."""
    with TemporaryDirectory(prefix="zohosync-bench-") as folder:
        Path(folder).chmod(0o711)  # the server runs as somebody else than root
        postgres = EmbeddedPostgres(Path(folder, "pg"))
        try:
            with psycopg.connect(postgres.open(), autocommit=True) as link:
                version = link.info.parameter_status("server_version") or "?"
                link.execute(sql.SQL("create database {}").format(sql.Identifier(TEMPLATE)))
            asyncio.run(_migrate(postgres.url(TEMPLATE)))
            yield Ground(postgres, version)
        finally:
            postgres.close(wait_s=30)


async def _migrate(url: str) -> None:
    async with opened(url) as database:
        await migrate(database)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    """A Database for as long as the block lasts."""
    database = await Database.open(url)
    try:
        yield database
    finally:
        await database.close()
