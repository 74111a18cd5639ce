"""Change capture: triggers that append marks in the transaction of the change, and no more."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from zohosync.clock import Clock
from zohosync.core.kinds import KINDS
from zohosync.core.records import NORMAL
from zohosync.errors import DatabaseError, DatabaseUnavailableError, SettingsError
from zohosync.store.database import Database, Row, Transaction
from zohosync.store.source import KEY_LIMIT, cleaned

LOCK_TRIES = 8
"""How often a table's lock is asked for (2 s each) before it is said that it is busy."""

LOCK_PAUSE_S = 0.5
"""Between two tries, for those who queued up behind us."""

PLACE = "[[watch]] in zohosync.toml"


@dataclass(frozen=True, slots=True)
class Watch:
    """A table whose changes mark records: by a key column, or by a query over `changed` rows."""

    table: str
    kind: str
    key: str | None = None
    keys: str | None = None
    priority: int | None = None

    @property
    def name(self) -> str:
        """A short name that changes with what is watched, not with how."""
        what = "|".join((self.table, self.kind, self.key or "", self.keys or ""))
        return f"watch_{hashlib.sha256(what.encode()).hexdigest()[:12]}"


async def install_watches(
    database: Database, watches: Sequence[Watch], *, clock: Clock
) -> list[str]:
    """Bring the triggers in line with the project; returns what was done, in words.

    Waits for no one for long: each table's lock is asked for with a limit of 2 s and again later.
    Each watch is installed or removed as a whole. Raises SettingsError for a table, column or
    query that will not do, DatabaseError for a busy table.
    """
    done: list[str] = []
    present = {row["watch"]: row for row in await database.fetch("read_watches")}
    for watch in {watch.name: watch for watch in watches}.values():
        definition = await _definition(database, watch)
        known = present.pop(watch.name, None)
        if known is not None and known["definition"] == definition:
            continue
        await _patiently(database, watch.table, _install, (watch, definition), clock)
        done.append(f"watches {watch.table} for {watch.kind}")
    for name, row in sorted(present.items()):
        await _patiently(database, row["table_name"], _remove, (name,), clock)
        done.append(f"no longer watches {row['table_name']} for {row['kind']}")
    return done


async def missing_watches(database: Database, watches: Sequence[Watch]) -> list[str]:
    """The tables whose triggers are not there, are switched off or not as the project says."""
    present = {row["watch"]: row["definition"] for row in await database.fetch("read_watches")}
    return [
        watch.table
        for watch in watches
        if present.get(watch.name) != await _definition(database, watch)
    ]


async def watch_fault(database: Database, watch: Watch) -> str | None:
    """Why a watch will not do, or None; asks the catalogue only."""
    try:
        await _definition(database, watch)
    except SettingsError as error:
        return str(error)
    return None


async def _patiently(
    database: Database, table: str, work: Any, arguments: tuple[Any, ...], clock: Clock
) -> None:
    for tries_left in reversed(range(LOCK_TRIES)):
        try:
            async with database.transaction() as transaction:
                # two at once would be "tuple concurrently updated"
                await transaction.execute("lock_migrations")
                await work(transaction, *arguments)
                return
        except DatabaseError as error:
            if not error.retryable or not tries_left:
                raise DatabaseError(
                    f"The trigger on {table} cannot be set: {error.what}",
                    place=database.place,
                    next_step="run `zohosync migrate` again when the table is less busy"
                    if error.retryable
                    else error.next_step,
                    sqlstate=error.sqlstate,
                ) from error
        await clock.sleep(LOCK_PAUSE_S)


async def _install(transaction: Transaction, watch: Watch, definition: str) -> None:
    await transaction.execute_sql(definition)
    await transaction.execute(
        "write_watch",
        watch=watch.name,
        table_name=watch.table,
        kind=watch.kind,
        definition=definition,
    )


async def _remove(transaction: Transaction, name: str) -> None:
    function = sql.Identifier("zohosync", name).as_string()
    await transaction.execute_sql(f"drop function if exists {function}() cascade")
    await transaction.execute("forget_watch", watch=name)


async def _definition(database: Database, watch: Watch) -> str:
    """The SQL that makes the function and its four triggers; static, so that its plans are kept."""
    row = await _resolved(database, watch)
    table = sql.Identifier(row["schema_name"], row["table_name"]).as_string()
    path = "pg_catalog, pg_temp"
    if watch.keys is not None:  # the user's own query may leave schemas out, as their mappings do
        path = f"pg_catalog, {sql.Identifier(row['schema_name']).as_string()}, public, pg_temp"
        await _try_keys(database, watch, table, path)
    return _TEMPLATE.format(
        function=sql.Identifier("zohosync", watch.name).as_string(),
        table=table,
        path=path,
        name=watch.name,
        kind=sql.Literal(watch.kind).as_string(),
        inserts=_append(watch, "I", "new_rows"),
        updates=_append(watch, "U", "new_rows", "old_rows"),
        deletes=_append(watch, "D", "old_rows"),
        truncate_priority=NORMAL,
    )


async def _resolved(database: Database, watch: Watch) -> Row:
    """How the database spells the watched table. Raises SettingsError when it cannot be watched."""
    try:
        row = await database.fetch_one(
            "resolve_table", table_name=watch.table, column=watch.key or ""
        )
    except DatabaseUnavailableError:
        raise
    except DatabaseError:  # Postgres 15 refuses a name that it cannot read; 16 finds nothing
        row = None
    if row is None:
        raise SettingsError(
            f"There is no table {watch.table!r}",
            place=PLACE,
            next_step="write it as schema.table, as the database spells it",
        )
    if (watch.key is None) == (watch.keys is None):
        raise SettingsError(
            f"The watch on {watch.table} needs one of key and keys, not both", place=PLACE
        )
    if watch.key and not row["has_column"]:
        raise SettingsError(
            f"Table {watch.table} has no column {watch.key!r}",
            place=PLACE,
            next_step="name the column that holds the key, as the database spells it",
        )
    if row["relkind"] not in ("r", "p"):
        raise SettingsError(
            f"{watch.table} is not a table: only tables can be watched",
            place=PLACE,
            next_step="watch the tables that it reads; the sweep finds the rest",
        )
    return row


async def _try_keys(database: Database, watch: Watch, table: str, path: str) -> None:
    """Run the query over no rows, so that a slip in it never breaks the user's own writes."""
    try:
        async with database.transaction(read_only=True) as transaction:
            await transaction.fetch_sql(
                "select set_config('search_path', %(path)s, true)", {"path": path}
            )
            await transaction.execute_sql(_keys(watch, f"select * from {table} limit 0"))
    except DatabaseUnavailableError:
        raise
    except DatabaseError as error:
        if error.retryable:
            raise
        raise SettingsError(
            f"The keys of the watch on {watch.table} are no SELECT that works: {error.what}",
            place=PLACE,
            next_step="correct it: `changed` are the rows of that table that changed",
        ) from error


def _keys(watch: Watch, changed: str) -> str:
    """The keys that depend on the rows of `changed`."""
    return (
        f"with changed as ({changed}) select k.key::text as key from (\n"
        f"{cleaned(watch.keys or '')}\n) as k (key)"
    )


def _append(watch: Watch, op: str, *tables: str) -> str:
    new = op == "I" and watch.key is not None
    priority = watch.priority
    if priority is None:
        priority = KINDS[watch.kind].new_priority if new else NORMAL
    kind = sql.Literal(watch.kind).as_string()
    if watch.key is not None:
        column = sql.Identifier(watch.key).as_string()
        rows = " union all ".join(f"select t.{column}::text as key from {t} t" for t in tables)
    else:
        rows = _keys(watch, " union all ".join(f"select * from {table}" for table in tables))
    return (
        f"insert into zohosync.marks (kind, key, op, priority) "
        f"select distinct {kind}, r.key, '{op}'::\"char\", {priority} from ({rows}) as r "
        f"where length(r.key) between 1 and {KEY_LIMIT}"
    )


# The dollar quote's tag is the digest of what stands in it: nobody can write it in there.
_TEMPLATE = """\
create or replace function {function}() returns trigger
  language plpgsql security definer set search_path = {path} as ${name}$
#variable_conflict use_column
begin
  if current_setting('zohosync.writeback', true) = 'on' then
    return null;
  end if;
  case tg_op
    when 'INSERT' then {inserts};
    when 'UPDATE' then {updates};
    when 'DELETE' then {deletes};
    else insert into zohosync.marks (kind, key, op, priority)
         values ({kind}, '', 'T', {truncate_priority});
  end case;
  return null;
end ${name}$;
revoke all on function {function}() from public;
create or replace trigger zohosync_{name}_i after insert on {table}
  referencing new table as new_rows for each statement execute function {function}();
create or replace trigger zohosync_{name}_u after update on {table}
  referencing old table as old_rows new table as new_rows
  for each statement execute function {function}();
create or replace trigger zohosync_{name}_d after delete on {table}
  referencing old table as old_rows for each statement execute function {function}();
create or replace trigger zohosync_{name}_t after truncate on {table}
  for each statement execute function {function}();
"""
