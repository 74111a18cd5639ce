"""The user's own tables, read through the mapping: the row as it is, never a wrong empty one."""

import asyncio
import itertools
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from zohosync.core.kinds import KINDS
from zohosync.core.mapping import desired_of, internal_desired, key_fault, unreadable
from zohosync.core.records import Desired, ErrorClass, Problem, Ref, fingerprint
from zohosync.errors import DatabaseError, DatabaseUnavailableError, MappingError
from zohosync.store.database import Database, Transaction

READ_LIMIT_S = 30.0
"""How long one read of a mapping may take."""

TOO_SLOW = "57014"
"""What Postgres says when a statement's time limit ended it."""

NOT_ALLOWED = "42501"
"""No right to a table, or row-level security that would hide rows of it."""

KEY_LIMIT = 200
"""Characters of a key that a record may have (as core.mapping.key_fault)."""


@dataclass(frozen=True, slots=True)
class MappedKind:
    """One mapping/<kind>.sql as the database understands it."""

    kind: str
    text: str
    key_type: str
    columns: tuple[tuple[str, str], ...]


def cleaned(text: str) -> str:
    """The SELECT without its closing semicolon and what follows that."""
    return _ENDING.sub("", text).rstrip()


_ENDING = re.compile(r";(?:[\s;]|--[^\n]*(?:\n|\Z)|/\*(?:(?!\*/).)*\*/)*\Z", re.DOTALL)


BLANKS = "".join(letter for letter in map(chr, range(0x3001)) if letter.isspace())
"""What `str.strip` takes from both ends of a text (the last of them is U+3000)."""


@dataclass(slots=True, eq=False)
class _Search:
    """What somebody looks for, and all that was found when it was looked for."""

    said: Mapping[str, str]
    found: "dict[tuple[str, ...], list[Ref]] | DatabaseError | None" = None


class Source:
    """What the mapping's SELECTs say, for records by name and for whole kinds."""

    def __init__(
        self,
        database: Database,
        mappings: Mapping[str, MappedKind],
        *,
        installation: str,
        marker_field: str | None,
        time_zone: str,
    ) -> None:
        """Use Source.open, which asks the database about each mapping."""
        self._database = database
        self._mappings = mappings
        self._installation = installation
        self._marker_field = marker_field
        self._zone = ZoneInfo(time_zone)
        self._searching = asyncio.Lock()
        self._searches: dict[tuple[str, tuple[str, ...]], list[_Search]] = {}

    @classmethod
    async def open(
        cls,
        database: Database,
        texts: Mapping[str, str],
        *,
        installation: str,
        marker_field: str | None,
        time_zone: str,
    ) -> "Source":
        """Learn each mapping's columns. Raises MappingError that names the mapping at fault."""
        mappings = {kind: await described(database, kind, text) for kind, text in texts.items()}
        return cls(
            database,
            mappings,
            installation=installation,
            marker_field=marker_field,
            time_zone=time_zone,
        )

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds that have a mapping, parents before children."""
        return tuple(name for name in KINDS if name in self._mappings)

    @property
    def fingerprints(self) -> dict[str, str]:
        """What each mapping is, with all else of the settings that makes a row's payload."""
        rest = {"marker_field": self._marker_field, "time_zone": str(self._zone)}
        return {
            kind: fingerprint({"text": mapped.text, **rest})
            for kind, mapped in self._mappings.items()
        }

    def mapped(self, kind: str) -> MappedKind:
        """The mapping of a kind."""
        return self._mappings[kind]

    def marker(self, ref: Ref) -> str:
        """What we write into the remote record so that it can be told to be ours."""
        return f"zs:{self._installation}:{ref.key}"

    async def desired(self, refs: Iterable[Ref]) -> dict[Ref, Desired | None]:
        """What is wanted of each record now; None where there is no such row.

        One statement per kind; where that fails, one per record, so that only the bad row fails.
        A record whose row cannot be read just now (its table is locked) is left out.
        Raises DatabaseUnavailableError when the database is not there.
        """
        wanted: dict[Ref, Desired | None] = {}
        by_kind: dict[str, list[Ref]] = {}
        for ref in refs:
            by_kind.setdefault(ref.kind, []).append(ref)
        for kind, named in by_kind.items():
            if KINDS[kind].internal:
                wanted.update((ref, internal_desired(ref, self._installation)) for ref in named)
            elif kind not in self._mappings:
                wanted.update(dict.fromkeys(named))
            else:
                wanted.update(await self._read(kind, named))
        return wanted

    async def _read(self, kind: str, refs: Sequence[Ref]) -> dict[Ref, Desired | None]:
        found: dict[Ref, Desired | None] = {}
        batches = [list(refs)]
        slow = 0
        while batches:
            batch = batches.pop(0)
            try:
                found.update(await self._read_batch(kind, batch))
            except DatabaseUnavailableError:
                raise
            except DatabaseError as error:
                slow += error.sqlstate == TOO_SLOW
                if error.retryable:
                    continue
                if slow > 2:  # all together, and two alone: the rest would be, too
                    batch, batches = [*batch, *itertools.chain(*batches)], []
                elif len(batch) > 1:
                    batches = [[ref] for ref in batch]
                    continue
                found.update((ref, unreadable(ref, error.what)) for ref in batch)
        return found

    async def _read_batch(self, kind: str, refs: Sequence[Ref]) -> dict[Ref, Desired | None]:
        by_key: dict[str, list[Mapping[str, Any]]] = {}
        for row in await self._rows(kind, [ref.key for ref in refs]):
            by_key.setdefault(row["key"], []).append(row)
        return {ref: self._desired(ref, by_key.get(ref.key, [])) for ref in refs}

    def _desired(self, ref: Ref, rows: Sequence[Mapping[str, Any]]) -> Desired | None:
        if not rows:
            return None
        if len(rows) > 1:
            message = f"the mapping returns key {ref.key} {len(rows)} times"
            problem = Problem(ErrorClass.VALIDATION, message, field="key")
            return Desired(ref=ref, faults=(problem,))
        return self.as_desired(ref.kind, rows[0])

    def as_desired(self, kind: str, row: Mapping[str, Any]) -> Desired:
        """One row of a mapping as what is wanted; its instants in the organisation's time zone."""
        local = {
            name: value.astimezone(self._zone)
            if isinstance(value, datetime) and value.tzinfo
            else value
            for name, value in row.items()
        }
        ref = Ref(kind, str(row["key"]))
        return desired_of(
            KINDS[kind], local, marker=self.marker(ref), marker_field=self._marker_field
        )

    async def _rows(self, kind: str, keys: Sequence[str]) -> list[dict[str, Any]]:
        async with self._reading() as transaction:
            return await transaction.fetch_sql(
                keyed_read(self._mappings[kind]), {"keys": list(keys)}, last=True
            )

    async def alike(self, kind: str, said: Mapping[str, str]) -> list[Ref]:
        """The rows of a mapping that say this, by column; of what lacks a column nobody can tell.

        Blanks around a text do not count. It reads the mapping whole, one after the other, and for
        all that have asked by then at once. Raises DatabaseError.
        """
        mapped = self._mappings.get(kind)
        if mapped is None or not said or not said.keys() <= dict(mapped.columns).keys():
            return []
        mine, columns = _Search(said), tuple(said)
        self._searches.setdefault((kind, columns), []).append(mine)
        async with self._searching:
            if mine.found is None:
                together = self._searches.pop((kind, columns), [])
                if mine not in together:  # whoever had taken it along was cancelled
                    together.append(mine)
                found: dict[tuple[str, ...], list[Ref]] | DatabaseError
                try:
                    found = await self._search(kind, columns, together)
                except DatabaseError as error:
                    found = error
                for each in together:
                    each.found = found
        if isinstance(mine.found, DatabaseError):
            raise mine.found
        return (mine.found or {}).get(tuple(said.values()), [])

    async def _search(
        self, kind: str, columns: Sequence[str], searches: Sequence["_Search"]
    ) -> dict[tuple[str, ...], list[Ref]]:
        """The rows by what they say in these columns. Nothing else of them is worked out."""
        names = [f"said_{number}" for number in range(len(columns))]
        told = [f"btrim(m.{column}::text, %(blanks)s)" for column in columns]
        wanted: dict[str, Any] = {
            name: [each.said[column] for each in searches]
            for name, column in zip(names, columns, strict=True)
        }
        texts = ", ".join(f"%({name})s::text[]" for name in names)
        text = (
            f"select m.key::text as key, array[{', '.join(told)}] as said\n"
            f"  from (\n{self._mappings[kind].text.replace('%', '%%')}\n) as m\n"
            f" where ({', '.join(told)}) in (select * from unnest({texts}))"
        )
        async with self._reading(limit_s=600.0) as transaction:
            rows = await transaction.fetch_sql(text, {**wanted, "blanks": BLANKS}, last=True)
        found: dict[tuple[str, ...], list[Ref]] = {}
        for row in rows:
            found.setdefault(tuple(row["said"]), []).append(Ref(kind, row["key"]))
        return found

    async def all_rows(
        self, kind: str, *, batch: int = 1_000
    ) -> AsyncGenerator[list[dict[str, Any]], None]:
        """Every row of a mapping, a batch at a time; raises DatabaseError when unreadable."""
        async with self._reading(limit_s=600.0) as transaction:
            async for rows in transaction.stream_sql(_all(self._mappings[kind].text), rows=batch):
                yield rows

    async def count(self, kind: str) -> int:
        """How many rows a mapping has; raises DatabaseError when unreadable."""
        async with self._reading(limit_s=600.0) as transaction:
            text = f"select count(*) as rows from (\n{self._mappings[kind].text}\n) as m"
            return int((await transaction.fetch_sql(text, last=True))[0]["rows"])

    @asynccontextmanager
    async def whole(
        self, kind: str, *, batch: int
    ) -> AsyncIterator[tuple[Transaction, AsyncGenerator[list[dict[str, Any]], None]]]:
        """Every row of a mapping as `all_rows`, with the transaction: it may be asked meanwhile."""
        async with self._reading(limit_s=600.0) as transaction:
            text = _all(self._mappings[kind].text)
            yield transaction, transaction.stream_sql(text, rows=batch)

    async def mark_all(self, kind: str, *, priority: int) -> int:
        """Mark every row of a mapping, in the order that it returns them, and what is gone from it.

        The sweep: finds what no trigger saw. Returns how many records were marked.
        """
        text = self._mappings[kind].text.replace("%", "%%")
        async with self._database.transaction(
            row_security_off=True, statement_timeout_s=600.0, time_zone=str(self._zone)
        ) as transaction:
            there = await transaction.execute_sql(
                "insert into zohosync.marks (kind, key, op, priority)\n"
                f"select %(kind)s, m.key::text, 'B', %(priority)s from (\n{text}\n) as m\n"
                f"where length(m.key::text) between 1 and {KEY_LIMIT}",
                {"kind": kind, "priority": priority},
            )
            return there + await transaction.execute("mark_gone", kind=kind, priority=priority)

    def _reading(self, limit_s: float | None = None) -> AbstractAsyncContextManager[Transaction]:
        return self._database.transaction(
            read_only=True,
            row_security_off=True,
            statement_timeout_s=limit_s or READ_LIMIT_S,
            time_zone=str(self._zone),
        )


def keyed_read(mapped: MappedKind) -> str:
    """The statement that reads rows of a mapping by key, compared in the key's own type."""
    text = _all(mapped.text.replace("%", "%%"))
    return f"{text} where m.key = any (%(keys)s::text[]::{mapped.key_type}[])"


def _all(text: str) -> str:
    """Every row of a mapping; its key as text, spelled as the marks spell it."""
    # of two columns with the same name, a row keeps the later one
    return f"select m.*, m.key::text as key from (\n{text}\n) as m"


async def described(database: Database, kind: str, text: str) -> MappedKind:
    """Ask the database what columns a mapping has. Raises MappingError that names it."""
    place = f"mapping/{kind}.sql"
    select = cleaned(text)
    try:
        async with database.transaction(
            read_only=True, row_security_off=True, statement_timeout_s=READ_LIMIT_S
        ) as asking:
            columns = await asking.describe_sql(f"select * from (\n{select}\n) as m limit 0")
            types = dict(columns)
            mapped = MappedKind(kind, select, types.get("key", ""), tuple(columns))
            if mapped.key_type and len(types) == len(columns):
                await asking.fetch_sql(f"{keyed_read(mapped)} limit 0", {"keys": []}, last=True)
    except DatabaseError as error:
        if error.retryable:
            raise
        step = "correct it and run `zohosync check`"
        if error.sqlstate == NOT_ALLOWED:
            step = "use the tables' owner in the database URL, or grant its role select, bypassrls"
        raise MappingError(
            f"The database does not accept this SELECT: {error.what}", place=place, next_step=step
        ) from error
    if not mapped.key_type:
        raise MappingError(
            "It has no column named key", place=place, next_step="name the row's id `as key`"
        )
    if len(types) < len(columns):
        raise MappingError("Two of its columns have the same name", place=place)
    return mapped


def usable_key(key: Any) -> str | None:
    """Why a key of a row cannot be used, or None."""
    return key_fault(key)
