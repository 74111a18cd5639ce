"""Change capture: triggers that append marks in the transaction of the change, and no more."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from zohosync.clock import Clock
from zohosync.core.kinds import KINDS
from zohosync.core.records import NORMAL
from zohosync.errors import DatabaseError, SettingsError
from zohosync.store.database import Database, Transaction

LOCK_TRIES = 8
"""How often a table's lock is asked for (2 s each) before it is said that it is busy."""


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
    Raises SettingsError for a table or column that is not there, DatabaseError for a busy table.
    """
    done: list[str] = []
    present = {row["watch"]: row for row in await database.fetch("read_watches")}
    for watch in watches:
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
    """The tables whose triggers are not there or not as the project says."""
    present = {row["watch"]: row["definition"] for row in await database.fetch("read_watches")}
    return [
        watch.table
        for watch in watches
        if present.get(watch.name) != await _definition(database, watch)
    ]


async def _patiently(
    database: Database, table: str, work: Any, arguments: tuple[Any, ...], clock: Clock
) -> None:
    for tries_left in reversed(range(LOCK_TRIES)):
        try:
            async with database.transaction() as transaction:
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
        await clock.sleep(0.5)


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
    row = await database.fetch_one("resolve_table", table_name=watch.table, column=watch.key or "")
    place = "[[watch]] in zohosync.toml"
    if row is None or row["table_name"] is None:
        raise SettingsError(
            f"There is no table {watch.table!r}",
            place=place,
            next_step="write it as schema.table, as the database spells it",
        )
    if watch.key and not row["has_column"]:
        raise SettingsError(f"Table {watch.table} has no column {watch.key!r}", place=place)
    if row["relkind"] not in ("r", "p"):
        raise SettingsError(
            f"{watch.table} is not a table: only tables can be watched",
            place=place,
            next_step="watch the tables that it reads; the sweep finds the rest",
        )
    table = sql.Identifier(row["schema_name"], row["table_name"]).as_string()
    function = sql.Identifier("zohosync", watch.name).as_string()
    path = sql.Identifier(row["schema_name"]).as_string()
    return _TEMPLATE.format(
        function=function,
        table=table,
        path=f"pg_catalog, {path}, public, pg_temp",
        name=watch.name,
        kind=sql.Literal(watch.kind).as_string(),
        inserts=_append(watch, "I", "new_rows"),
        updates=_append(watch, "U", "new_rows", "old_rows"),
        deletes=_append(watch, "D", "old_rows"),
        truncate_priority=NORMAL,
    )


def _append(watch: Watch, op: str, *tables: str) -> str:
    new = op == "I" and watch.key is not None
    priority = watch.priority or (KINDS[watch.kind].new_priority if new else NORMAL)
    kind = sql.Literal(watch.kind).as_string()
    if watch.key is not None:
        column = sql.Identifier(watch.key).as_string()
        rows = " union ".join(f"select t.{column}::text as key from {table} t" for table in tables)
    else:
        rows = " union all ".join(f"select * from {table}" for table in tables)
        rows = (
            f"with changed as ({rows}) "
            f"select distinct k.key::text as key from ({watch.keys}) as k (key)"
        )
    return (
        f"insert into zohosync.marks (kind, key, op, priority) "
        f"select {kind}, r.key, '{op}', {priority} from ({rows}) as r where r.key <> ''"
    )


_TEMPLATE = """\
create or replace function {function}() returns trigger
  language plpgsql security definer set search_path = {path} as $body$
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
end $body$;
drop trigger if exists zohosync_{name}_i on {table};
drop trigger if exists zohosync_{name}_u on {table};
drop trigger if exists zohosync_{name}_d on {table};
drop trigger if exists zohosync_{name}_t on {table};
create trigger zohosync_{name}_i after insert on {table}
  referencing new table as new_rows for each statement execute function {function}();
create trigger zohosync_{name}_u after update on {table}
  referencing old table as old_rows new table as new_rows
  for each statement execute function {function}();
create trigger zohosync_{name}_d after delete on {table}
  referencing old table as old_rows for each statement execute function {function}();
create trigger zohosync_{name}_t after truncate on {table}
  for each statement execute function {function}();
"""
