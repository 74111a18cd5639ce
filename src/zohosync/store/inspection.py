"""How the database reads a mapping: which tables, and whether a key finds its row by an index."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zohosync.core.checks import Fault, relations_of, scan_fault, scan_of
from zohosync.errors import DatabaseError
from zohosync.store.capture import Watch, watch_fault
from zohosync.store.database import Database, Row
from zohosync.store.source import READ_LIMIT_S, MappedKind, keyed_read

WATCHABLE = ("r", "p")


@dataclass(frozen=True, slots=True)
class Inspection:
    """Asks the database how it would read; spends nothing and changes nothing."""

    database: Database

    async def rows(self, mapped: MappedKind) -> int:
        """About how many rows a mapping returns, as the planner guesses; 0 where it cannot."""
        whole = f"select * from (\n{mapped.text}\n) as m"  # noqa: S608 - the project's own
        try:
            plan = await self._explain(whole, {}, seqscan=True)
        except DatabaseError:
            return 0
        return int(plan[0]["Plan"]["Plan Rows"])

    async def faults(self, mapped: MappedKind, watches: Sequence[Watch]) -> list[Fault]:
        """Tables read but not watched, and a keyed read that scans. Raises DatabaseError."""
        whole = f"select * from (\n{mapped.text}\n) as m"  # noqa: S608 - the project's own
        plan = await self._explain(whole, {}, seqscan=True)
        tables = await self._relations(relations_of(plan))
        return [
            *await self._unwatched(mapped.kind, tables, watches),
            *await self._scans(mapped, tables),
        ]

    async def watch_fault(self, watch: Watch) -> Fault | None:
        """Why a `[[watch]]` will not do, or None."""
        wrong = await watch_fault(self.database, watch)
        return None if wrong is None else Fault(watch.kind, None, wrong)

    async def _unwatched(
        self, kind: str, tables: Collection[Row], watches: Sequence[Watch]
    ) -> list[Fault]:
        names = [watch.table for watch in watches if watch.kind == kind]
        roots = {row["root"] for row in await self.database.fetch("read_roots", tables=names)}
        faults = {}
        for table in tables:
            if table["root"] in roots:
                continue
            if table["relkind"] in WATCHABLE:
                faults[table["root"]] = Fault(
                    kind,
                    None,
                    f"its mapping reads {table['shown']}, which nobody watches: a change there "
                    "would go unnoticed",
                    next_step=f'add a [[watch]] with table = "{table["shown"]}", kind = "{kind}"',
                )
            else:
                faults[table["root"]] = Fault(
                    kind,
                    None,
                    f"its mapping reads {table['shown']}, which is no plain table and cannot be "
                    "watched: a change there is seen with the next backfill only",
                    note=True,
                )
        return list(faults.values())

    async def _scans(self, mapped: MappedKind, tables: Collection[Row]) -> list[Fault]:
        key = await self._sample_key(mapped)
        if key is None:
            return []
        plan = await self._explain(keyed_read(mapped), {"keys": [key, key]}, seqscan=False)
        scan = scan_of(plan, key)
        if scan is None:
            return []
        sizes = {(row["schema_name"], row["table_name"]): row["table_rows"] for row in tables}
        return [scan_fault(mapped.kind, scan, sizes.get(scan.table, 0.0))]

    async def _sample_key(self, mapped: MappedKind) -> str | None:
        async with self._reading() as transaction:
            rows = await transaction.fetch_sql(
                f"select m.key::text as key from (\n{mapped.text}\n) as m "  # noqa: S608
                "where m.key is not null limit 1"
            )
        return str(rows[0]["key"]) if rows else None

    async def _explain(self, text: str, params: Mapping[str, Any], *, seqscan: bool) -> Any:
        async with self._reading() as transaction:
            if not seqscan:
                await transaction.execute_sql("set local enable_seqscan = off")
            rows = await transaction.fetch_sql(
                f"explain (verbose, format json) {text}", params or None
            )
        return rows[0]["QUERY PLAN"]

    async def _relations(self, named: Collection[tuple[str, str]]) -> list[Row]:
        return await self.database.fetch(
            "read_relations",
            schemas=[schema for schema, _ in named],
            tables=[table for _, table in named],
        )

    def _reading(self) -> Any:
        return self.database.transaction(
            read_only=True, row_security_off=True, statement_timeout_s=READ_LIMIT_S
        )


def unreadable(kind: str, error: DatabaseError) -> Fault:
    """The fault of a mapping that the database does not get through."""
    return Fault(kind, None, f"its rows cannot be read: {error.what}", next_step=error.next_step)
