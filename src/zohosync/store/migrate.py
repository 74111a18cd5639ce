"""Brings the schema `zohosync` up to date: numbered SQL files, forward only, each applied once."""

import hashlib
import re
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from zohosync.errors import DatabaseError, DatabaseUnavailableError, SchemaError
from zohosync.store.database import Database, Transaction, query_text

FILE_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
WAIT_S = 60  # how long one `migrate` waits for another
LOCK_TRIES = 5  # a statement gives up after 2 s of waiting for a table; others go first, we again


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file."""

    version: int
    name: str
    text: str
    checksum: str


def read_migrations(directory: Traversable | None = None) -> list[Migration]:
    """The migrations in a directory, by number; ours without one. Raises SchemaError."""
    place = directory or files("zohosync.store").joinpath("migrations")
    found: dict[int, Migration] = {}
    for file in sorted(place.iterdir(), key=lambda file: file.name):
        if not file.name.endswith(".sql"):
            continue
        named = FILE_NAME.fullmatch(file.name)
        if named is None:
            raise SchemaError(f"{file.name} is not called NNNN_name.sql", place=str(place))
        if int(named[1]) in found:
            raise SchemaError(
                f"{found[int(named[1])].name} and {file.name} have the same number",
                place=str(place),
            )
        text = file.read_text(encoding="utf-8").replace("\r\n", "\n")
        checksum = hashlib.sha256(text.encode()).hexdigest()
        found[int(named[1])] = Migration(int(named[1]), file.name, text, checksum)
    return list(found.values())


async def migrate(database: Database, *, directory: Traversable | None = None) -> list[str]:
    """Apply what is missing, each file in one transaction; returns the names of the applied.

    Any number of processes may do this at once. The first file makes the schema and
    `zohosync.current_time()`. Raises SchemaError when the database and the files contradict each
    other or a file fails (nothing of it is applied then), DatabaseUnavailableError.
    """
    migrations = read_migrations(directory)
    applied: list[str] = []
    tries_left = LOCK_TRIES
    while True:
        try:
            name = await _apply_next(database, migrations)
        except DatabaseError as error:
            tries_left -= 1
            if isinstance(error, DatabaseUnavailableError) or not error.retryable:
                raise
            if not tries_left:
                raise SchemaError(
                    f"The schema could not be migrated: {error.what}",
                    place=database.place,
                    next_step="run `zohosync migrate` again when the database is less busy",
                ) from error
            continue
        if name is None:
            return applied
        applied.append(name)


async def verify(database: Database, *, directory: Traversable | None = None) -> None:
    """Return when the schema is the one that this code needs; else raise SchemaError."""
    migrations = read_migrations(directory)
    async with database.transaction(read_only=True) as transaction:
        missing = await _missing(transaction, migrations, database.place)
    if missing:
        names = [each.name for each in missing]
        lacks = names[0] if len(names) == 1 else f"{len(names)} migrations, {names[0]} and later,"
        raise SchemaError(
            "The database has no schema of ours yet"
            if len(missing) == len(migrations)
            else f"The schema is out of date ({lacks} not applied)",
            place=database.place,
            next_step="run `zohosync migrate`",
        )


async def _apply_next(database: Database, migrations: list[Migration]) -> str | None:
    """Apply the first missing migration; returns its name, None when there is none."""
    async with database.transaction(statement_timeout_s=0) as transaction:
        await transaction.execute_sql(f"set local lock_timeout = '{WAIT_S}s'")
        await transaction.execute("lock_migrations")
        await transaction.execute_sql("set local lock_timeout = '2s'")
        missing = await _missing(transaction, migrations, database.place)
        if not missing:
            return None
        migration = missing[0]
        try:
            await transaction.execute_sql(migration.text)
            await transaction.execute_sql(query_text("make_migrations"))
        except DatabaseError as error:
            if error.retryable:
                raise
            raise SchemaError(
                f"The migration {migration.name} failed, nothing of it was applied: {error.what}",
                place=database.place,
                next_step=error.next_step if error.sqlstate == "42501" else "",
            ) from error
        await transaction.execute(
            "note_migration",
            version=migration.version,
            name=migration.name,
            checksum=migration.checksum,
        )
    return migration.name


async def _missing(
    transaction: Transaction, migrations: list[Migration], place: str
) -> list[Migration]:
    """The migrations that the database lacks, once everything it has is seen to be ours."""
    present = await transaction.fetch_one("has_migrations")
    if present is None or not present["present"]:
        return migrations
    ours = {migration.version: migration for migration in migrations}
    applied = await transaction.fetch("read_migrations")
    newest = 0
    for row in applied:
        newest, known = row["version"], ours.pop(row["version"], None)
        if known is None:
            raise SchemaError(
                f"The database was migrated by a newer zohosync ({row['name']} is not known here)",
                place=place,
                next_step="upgrade this zohosync",
            )
        if known.checksum != row["checksum"]:
            raise SchemaError(
                f"The migration {known.name} is not the one that was applied to the database",
                place=place,
                next_step="install the released zohosync again; an applied file never changes",
            )
    late = [each.name for each in ours.values() if each.version < newest]
    if late:
        raise SchemaError(
            f"The migration {late[0]} was left out, later ones are applied", place=place
        )
    return list(ours.values())
