"""The least rights that a worker needs, as a script that makes a role with them and no others.

What a worker does to our own tables is read from its queries: a right that none of them uses is not
granted. What it may read of the user's tables is what the mappings name, and what it may write is
the columns of the write-back.
"""

import re
from collections.abc import Iterable, Mapping
from importlib.resources import files

from psycopg import sql

from zohosync.errors import SettingsError
from zohosync.store.database import Database, Row, Transaction, query_text
from zohosync.store.source import READ_LIMIT_S, cleaned
from zohosync.store.writeback import WriteBackColumns

OWNERS = frozenset(
    {
        "copy_installation", "forget_watch", "lock_migrations", "make_migrations",
        "move_installation", "note_migration", "offer_sync_health", "write_watch",
    }
)  # fmt: skip
"""Queries of `migrate`, which the schema's owner runs."""

_WRITES = re.compile(r"\b(insert\s+into|update|delete\s+from)\s+zohosync\.(\w+)", re.IGNORECASE)
_READS = re.compile(r"\b(?:from|join)\s+zohosync\.(\w+)", re.IGNORECASE)
_LOCKS = re.compile(r"\bfor\s+(?:no\s+key\s+update|update|key\s+share|share)\b", re.IGNORECASE)
_UPSERT = re.compile(r"\bdo\s+update\b", re.IGNORECASE)
_COMMENT = re.compile(r"--[^\n]*")


def rights_of(texts: Iterable[str]) -> dict[str, set[str]]:
    """Which of our tables these statements write, and how: insert, update, delete, lock."""
    rights: dict[str, set[str]] = {}
    for commented in texts:
        text = _COMMENT.sub("", commented)
        found = list(_WRITES.finditer(text))
        ends = [*(each.start() for each in found), len(text)][1:]
        for each, end in zip(found, ends, strict=False):
            verbs = rights.setdefault(each[2], set())
            verbs.add(each[1].split()[0].lower())
            if _UPSERT.search(text[each.end() : end]):
                verbs.add("update")
        if _LOCKS.search(text):
            for table in _READS.findall(text):
                rights.setdefault(table, set()).add("lock")
    return rights


async def worker_role(
    database: Database,
    role: str,
    mappings: Mapping[str, str],
    write_back: Mapping[str, WriteBackColumns],
) -> str:
    """A script for the owner of schema and tables that makes `role` fit to run a worker.

    It can be run again (after an upgrade, or when a mapping reads another table): what is not
    needed any more is taken away. It holds no password. Changes nothing itself; raises
    SettingsError for a table that is not there, DatabaseError.
    """
    name = sql.Identifier(role).as_string()
    async with database.transaction(statement_timeout_s=READ_LIMIT_S) as transaction:
        ours = await transaction.fetch("read_our_tables")
        routines = await transaction.fetch("read_our_routines")
        read = [
            (kind, row)
            for kind, text in mappings.items()
            for row in await _read_by(transaction, text)
        ]
        written = [(kind, await _written(transaction, kind, c)) for kind, c in write_back.items()]
        had = await transaction.fetch("read_role_tables", role=role)
    texts = [query_text(query) for query in _names() if query not in OWNERS]
    texts += [row["body"] for row in routines]
    return _SCRIPT.format(
        role=name,
        literal=sql.Literal(role).as_string(),
        database=sql.Identifier(ours[0]["database_name"]).as_string(),
        ours="\n".join(_ours(ours, rights_of(texts), name)),
        theirs="\n".join(
            [
                *(f"revoke all on {_name(*row.values())} from {name};" for row in had),
                *dict.fromkeys([*_theirs(read, name), *_back(written, name)]),
            ]
        )
        or "-- (none is mapped)",
    )


def _names() -> list[str]:
    folder = files("zohosync.store").joinpath("queries")
    return sorted(path.name.removesuffix(".sql") for path in folder.iterdir())


def _ours(tables: list[Row], rights: Mapping[str, set[str]], role: str) -> list[str]:
    lines = []
    for table in tables:
        wanted = rights.get(table["name"], set())
        verbs = ["select", *sorted(wanted - {"lock"})]
        shown = sql.Identifier("zohosync", table["name"]).as_string()
        lines.append(f"grant {', '.join(verbs)} on {shown} to {role};")
        if "lock" in wanted and "update" not in wanted and table["first_column"]:
            column = sql.Identifier(table["first_column"]).as_string()
            lines.append(f"grant update ({column}) on {shown} to {role};  -- to lock its row")
    return lines


def _theirs(read: list[tuple[str, Row]], role: str) -> list[str]:
    """Rights to what the mappings read, each table once."""
    schemas = sorted({row["schema_name"] for _, row in read})
    lines = [f"grant usage on schema {_name(schema)} to {role};" for schema in schemas]
    by_table: dict[str, set[str]] = {}
    for kind, row in read:
        shown = _name(row["schema_name"], row["name"])
        what = f"function {shown}({row['arguments']})" if row["arguments"] is not None else shown
        by_table.setdefault(what, set()).add(kind)
    for what, kinds in sorted(by_table.items()):
        verb = "execute" if what.startswith("function ") else "select"
        lines.append(f"grant {verb} on {what} to {role};  -- {', '.join(sorted(kinds))}")
    return lines


def _back(written: list[tuple[str, tuple[str, str, list[str], list[str]]]], role: str) -> list[str]:
    lines = []
    for kind, (schema, table, reads, writes) in written:
        shown = _name(schema, table)
        lines.append(f"grant usage on schema {_name(schema)} to {role};")
        lines.append(
            f"grant select ({', '.join(map(_name, reads))}), "
            f"update ({', '.join(map(_name, writes))}) on {shown} to {role};  -- {kind} write-back"
        )
    return lines


async def _read_by(transaction: Transaction, text: str) -> list[Row]:
    """The tables, views and functions that a mapping names: the database says which they are."""
    view = "zohosync_rights"
    await transaction.execute_sql(
        f"create temp view {view} as select * from (\n{cleaned(text)}\n) as m"
    )
    rows = await transaction.fetch("read_view_needs", view=f"pg_temp.{view}")
    await transaction.execute_sql(f"drop view pg_temp.{view}")
    return rows


async def _written(
    transaction: Transaction, kind: str, columns: WriteBackColumns
) -> tuple[str, str, list[str], list[str]]:
    """Schema and table of a write-back, the columns that it reads, and those that it writes."""
    row = await transaction.fetch_one("resolve_table", table_name=columns.table, column=columns.key)
    if row is None:
        raise SettingsError(
            f"There is no table {columns.table!r}",
            place=f"[kinds.{kind}.write_back] in zohosync.toml",
            next_step="write it as schema.table, as the database spells it",
        )
    named = (columns.zoho_id, columns.status, columns.synced_at, columns.error)
    writes = [each for each in named if each]
    return row["schema_name"], row["table_name"], [columns.key, *writes], writes


def _name(*names: str) -> str:
    return sql.Identifier(*names).as_string()


_SCRIPT = """\
-- The least rights for a worker of zohosync, from this project's mappings and write-back.
-- Run it as the owner of the schema zohosync and of your tables, again after each upgrade of
-- zohosync and each change of a mapping. `migrate` is for the owner, not for this role.
begin;
do $$ begin
  if not exists (select from pg_catalog.pg_roles where rolname = {literal}) then
    create role {role} login;
  end if;
end $$;
-- bypassrls: a mapping must never see a part of a table only, and our own tables have row-level
-- security on and no policy. It adds no right to any table that is not named below. Where you may
-- not grant it, ask your database's administrator for this one line.
alter role {role} with login bypassrls;
grant connect on database {database} to {role};
-- Our own schema: what a worker's statements do, no more. It can neither change nor drop a table.
revoke all on all tables in schema zohosync from {role};
grant usage on schema zohosync to {role};
grant usage on all sequences in schema zohosync to {role};
{ours}
-- Your tables: what the mappings read, and the columns that are written back.
{theirs}
commit;
-- Next: give it a password (in psql: \\password {role}),
-- put it into the workers' ZOHOSYNC_DATABASE_URL, and see that `zohosync check` finds no fault.
"""
