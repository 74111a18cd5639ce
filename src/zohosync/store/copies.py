"""Copies what mappings return into tables of another database; the first one is only read."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import simplejson
from psycopg import sql

from zohosync.errors import DatabaseError
from zohosync.store.database import Database, Row, Transaction
from zohosync.store.source import NOT_ALLOWED, MappedKind

COPY_LIMIT_S = 600.0
"""How long reading one mapping to its end may take."""

SCHEMA = "rehearsal"
"""Where the copies stand in their own database: one table a kind."""

BATCH = 1_000

# What a value is spelled with on its way, whatever the database is set to; and a reader's patience.
_SPELLING = """
set local datestyle = 'ISO, YMD'; set local intervalstyle = 'postgres';
set local bytea_output = 'hex'; set local extra_float_digits = 1;
set local idle_in_transaction_session_timeout = '60s'
"""


def copied_mapping(kind: str) -> str:
    """The mapping that reads a kind's copy."""
    return f"select * from {_table(kind)}\n"


async def copy_kind(
    origin: Database,
    mapped: MappedKind,
    target: Database,
    *,
    time_zone: str,
    tell: Callable[[int], None] = lambda _rows: None,
) -> int:
    """Write every row that a mapping returns into a table of its own; returns how many.

    The columns keep their names, types and order, the rows theirs; a type that only `origin` knows
    becomes text. `origin` is read in one read-only transaction. Raises DatabaseError.
    """
    names = [name for name, _ in mapped.columns]
    types = await _types_there(target, mapped)
    columns = ", ".join(f"{_name(name)} {types[name]}" for name in names)
    async with target.transaction() as making:
        await making.execute_sql(
            f"create schema if not exists {SCHEMA}; create table {_table(mapped.kind)} ({columns})"
        )
    put = _insert(mapped.kind, [types[name] for name in names])
    done = 0
    async with aclosing(_read(origin, mapped, time_zone)) as found:
        async for rows in found:
            values = {f"c{n}": [row[f"c{n}"] for row in rows] for n in range(len(names))}
            async with target.transaction(time_zone=time_zone) as writing:
                await writing.execute_sql(put, values)
            done += len(rows)
            tell(done)
    async with target.transaction(statement_timeout_s=COPY_LIMIT_S) as making:
        await making.execute_sql(
            f"create index on {_table(mapped.kind)} (key); analyze {_table(mapped.kind)}"
        )
    return done


async def _read(
    origin: Database, mapped: MappedKind, time_zone: str
) -> AsyncGenerator[list[Row], None]:
    """The rows with every value as text, spelled by its type's own output function."""
    values = ", ".join(
        f"case when m.{_name(name)} is null then null else concat(m.{_name(name)}) end as c{n}"
        for n, (name, _) in enumerate(mapped.columns)
    )
    async with origin.transaction(
        read_only=True, row_security_off=True, statement_timeout_s=COPY_LIMIT_S,
        time_zone=time_zone,
    ) as reading:  # fmt: skip
        await reading.execute_sql(_SPELLING)
        text = f"select {values} from (\n{mapped.text}\n) as m"
        async for rows in reading.stream_sql(text, rows=BATCH):
            yield rows


async def _types_there(target: Database, mapped: MappedKind) -> dict[str, str]:
    """The type of each column as `target` can hold it."""
    async with target.transaction(read_only=True) as asking:
        rows = await asking.fetch_sql(
            "select named.name, exists (select from pg_type t where t.oid = to_regtype(named.name)"
            " and t.typnamespace = 'pg_catalog'::regnamespace) as known"
            "  from unnest(%(names)s::text[]) as named (name)",
            {"names": sorted({name for _, name in mapped.columns})},
        )
    known = {row["name"] for row in rows if row["known"]}
    return {
        name: spelled if spelled in known else "text[]" if spelled.endswith("[]") else "text"
        for name, spelled in mapped.columns
    }


def _insert(kind: str, types: list[str]) -> str:
    numbers = range(len(types))
    values = ", ".join(f"r.c{n}::{types[n]}" for n in numbers)
    arrays = ", ".join(f"%(c{n})s::text[]" for n in numbers)
    names = ", ".join(f"c{n}" for n in numbers)
    return (
        f"insert into {_table(kind)} select {values}"
        f" from unnest({arrays}) with ordinality as r ({names}, place) order by place"
    )


def _table(kind: str) -> str:
    return sql.Identifier(SCHEMA, kind).as_string()


def _name(name: str) -> str:
    return sql.Identifier(name).as_string()


async def read_seen(origin: Database, org_id: str | None) -> dict[str, list[Row]] | None:
    """What the last `compare` saw in Zoho, per kind as Zoho listed it; None where none has run."""
    async with origin.transaction(
        read_only=True, row_security_off=True, statement_timeout_s=COPY_LIMIT_S
    ) as reading:
        if org_id is None or not await _is_there(reading, "zohosync.seen"):
            return None
        try:
            rows = await reading.fetch_sql(
                "select kind, zoho_id, fields from zohosync.seen where org_id = %(org_id)s"
                " order by kind, zoho_id",
                {"org_id": org_id},
            )
        except DatabaseError as error:
            if error.sqlstate != NOT_ALLOWED:
                raise
            return None
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["kind"], []).append({**row["fields"], "zoho_id": row["zoho_id"]})
    return found or None


async def read_linked(origin: Database, org_id: str | None) -> tuple[str | None, list[Row]]:
    """The installation's name and the records that are linked there; none where it is not ours."""
    async with origin.transaction(
        read_only=True, row_security_off=True, statement_timeout_s=COPY_LIMIT_S
    ) as reading:
        if org_id is None or not await _is_there(reading, "zohosync.records"):
            return None, []
        try:
            named = await reading.fetch_one("read_installation")
            rows = await reading.fetch("read_linked", org_id=org_id)
        except DatabaseError as error:
            if error.sqlstate != NOT_ALLOWED:
                raise
            return None, []
    return (str(named["installation"]) if named else None), rows


async def write_linked(target: Database, org_id: str, rows: list[Row]) -> int:
    """Make records known as linked and in step, as `read_linked` gave them; returns how many."""
    told = simplejson.dumps(rows, use_decimal=True)
    return await target.execute("write_linked", org_id=org_id, rows=told)


async def _is_there(reading: Transaction, table: str) -> bool:
    rows = await reading.fetch_sql("select to_regclass(%(name)s) as found", {"name": table})
    found: Any = rows[0]["found"]
    return found is not None
