"""Write-back: a record's link and state in columns of the user's own table, if they ask for it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from psycopg import sql

from zohosync.core.records import Ref
from zohosync.errors import DatabaseError, DatabaseUnavailableError, SettingsError
from zohosync.store.database import Database, Row

WRITE_LIMIT_S = 5.0
"""How long one write-back may take: a big table without an index on its key is given up."""


@dataclass(frozen=True, slots=True)
class WriteBackColumns:
    """Where a kind's records are written back to: `[kinds.<kind>.write_back]`."""

    table: str
    key: str
    zoho_id: str | None = None
    status: str | None = None
    synced_at: str | None = None
    error: str | None = None


class WriteBack:
    """Writes what is known of records to the user's tables, only where that changes something."""

    def __init__(self, database: Database, org_id: str, updates: Mapping[str, str]) -> None:
        """Use WriteBack.open, which asks the database about each table."""
        self._database = database
        self._org_id = org_id
        self._updates = updates

    @classmethod
    async def open(
        cls, database: Database, columns: Mapping[str, WriteBackColumns], *, org_id: str
    ) -> Self:
        """Learn the columns' types; raises SettingsError for a table or column not there."""
        updates = {kind: await _update(database, kind, each) for kind, each in columns.items()}
        return cls(database, org_id, updates)

    async def write(self, refs: Iterable[Ref]) -> int:
        """Write the records as they are now; returns how many rows changed.

        Call it after the settlement, outside of any transaction. One statement a kind, which reads
        the records itself: late or repeated, it never writes yesterday's state. Only where the
        organisation is live or the sandbox; a Zoho id or an instant is never replaced by nothing.
        Leaves no mark. Raises DatabaseError (a row that stays locked for 2 s, a value that does
        not fit); the records do not depend on it.
        """
        by_kind: dict[str, list[str]] = {}
        for ref in refs:
            if ref.kind in self._updates:
                by_kind.setdefault(ref.kind, []).append(ref.key)
        changed = 0
        for kind, keys in sorted(by_kind.items()):
            async with self._database.transaction(
                row_security_off=True, statement_timeout_s=WRITE_LIMIT_S
            ) as transaction:
                await transaction.fetch("announce_write_back")
                changed += await transaction.execute_sql(
                    self._updates[kind], {"org_id": self._org_id, "kind": kind, "keys": keys}
                )
        return changed


async def _update(database: Database, kind: str, columns: WriteBackColumns) -> str:
    """The statement that writes records of a kind back."""
    place = f"[kinds.{kind}.write_back] in zohosync.toml"
    found = await _resolved(database, columns.table)
    if not found:
        raise SettingsError(
            f"There is no table {columns.table!r}",
            place=place,
            next_step="write it as schema.table, as the database spells it",
        )
    # Into a column that is too short an error is cut; a Zoho id or a status is refused.
    wanted = [
        (columns.zoho_id, "open", "coalesce(r.zoho_id::{type}, t.{column})"),
        (columns.status, "open", "r.status::{type}"),
        (columns.synced_at, "exact", "coalesce(r.success_at::{type}, t.{column})"),
        (columns.error, "exact", "r.error_message::{type}"),
    ]
    named = [(name, spelling, value) for name, spelling, value in wanted if name]
    if not named:
        raise SettingsError(
            "It names no column to write",
            place=place,
            next_step="name zoho_id, status, synced_at or error, or take the section out",
        )
    for name in (columns.key, *(name for name, _, _ in named)):
        if name not in found:
            raise SettingsError(
                f"Table {columns.table} has no column {name!r}",
                place=place,
                next_step="write it as the database spells it",
            )
    values = {
        _name(name): value.format(type=_plain(found[name][spelling]), column=_name(name))
        for name, spelling, value in named
    }
    row = found[columns.key]
    return _UPDATE.format(
        table=_name(row["schema_name"], row["table_name"]),
        key=_name(columns.key),
        key_type=_plain(row["exact"]),
        assigned=", ".join(f"{name} = {value}" for name, value in values.items()),
        differs=" or ".join(f"t.{name} is distinct from {value}" for name, value in values.items()),
    )


async def _resolved(database: Database, table: str) -> dict[str, Row]:
    """A table's columns by name; none where there is no such table."""
    try:
        rows = await database.fetch("resolve_columns", table_name=table)
    except DatabaseUnavailableError:
        raise
    except DatabaseError:  # Postgres 15 refuses a name that it cannot read; 16 finds nothing
        return {}
    return {row["column_name"]: row for row in rows}


def _name(*names: str) -> str:
    return _plain(sql.Identifier(*names).as_string())


def _plain(text: str) -> str:
    """Text in which a per cent sign is no parameter."""
    return text.replace("%", "%%")


# A record that somebody has claimed meanwhile is left to them: they write it back in their turn.
_UPDATE = """\
update {table} t set {assigned}
  from (select r.key, r.zoho_id, r.status, r.success_at, r.error_message
          from zohosync.records r join zohosync.organizations o using (org_id)
         where r.org_id = %(org_id)s and o.mode in ('live', 'sandbox')
           and r.kind = %(kind)s and r.key = any (%(keys)s::text[]) and r.status <> 'syncing') r
 where t.{key} = r.key::{key_type} and ({differs})
"""
