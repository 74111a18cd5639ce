"""What the checks ask of the database: how it reads a mapping, and how an installation stands."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from zohosync.clock import Clock
from zohosync.core.checks import Fault, relations_of, scan_fault, scan_of
from zohosync.core.governor import DOWN_AFTER
from zohosync.core.records import LANES
from zohosync.errors import DatabaseError
from zohosync.store.capture import Watch, watch_fault
from zohosync.store.database import Database, Row, query_text
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


# --------------------------------------------------------------------------- before production


INDEXES = (
    "records_pkey", "records_one_per_zoho_id", "records_due", "records_leased", "records_waiting",
    "records_status", "api_calls_pkey", "api_calls_counting", "api_calls_mints",
    "api_calls_record", "sync_logs_record", "organizations_pkey", "token_cache_pkey",
)  # fmt: skip
"""Indexes without which a big book is slow."""

DUE = "records_due"
"""The index that finds what is due."""


class Readiness:
    """One organisation's installation, looked at; changes nothing and spends no call."""

    def __init__(self, database: Database, org_id: str, mint_key: str) -> None:
        """`mint_key` names the credentials in the journal."""
        self._database = database
        self._org_id = org_id
        self._mint_key = mint_key

    async def facts(self) -> Row | None:
        """The row of `read_production`; None where the organisation is not known here."""
        return await self._database.fetch_one(
            "read_production", org_id=self._org_id, mint_key=self._mint_key, indexes=list(INDEXES)
        )

    async def clock_off_s(self, clock: Clock) -> float:
        """Seconds that this machine's clock is ahead of the database's, the way there left out."""
        before = clock.now()
        row = await self._database.fetch_one("read_time")
        assert row is not None
        middle: Any = before + (clock.now() - before) / 2
        return float((middle - row["now"]).total_seconds())

    async def days(self, today: date) -> list[tuple[int, int | None]]:
        """The calls of the last seven days, ours and others', each with that day's limit."""
        rows = await self._database.fetch(
            "read_usage_days", org_id=self._org_id, day=today - timedelta(days=7)
        )
        return [(row["calls"] + row["foreign_calls"], row["per_day"]) for row in rows]

    async def unused(self) -> list[str]:
        """The hot statements that do not find what is due by its index."""
        lanes = list(LANES)
        due = {"org_id": self._org_id, "priorities": lanes}
        claim = {
            **due, "worker": "", "lease_s": 1.0, "limit": 10, "lower": 10,
            "most": [10] * len(lanes), "least": [0] * len(lanes),
            "down_after": DOWN_AFTER, "mappings": {},
        }  # fmt: skip
        return [
            name
            for name, params in (("claim_records", claim), ("next_due", due))
            if DUE not in await self._plan(name, params)
        ]

    async def _plan(self, name: str, params: dict[str, Any]) -> str:
        """How a statement would be run, as text; a small table is read whole unless told not to."""
        async with self._database.transaction() as transaction:
            await transaction.execute_sql("set local enable_seqscan = off")
            rows = await transaction.fetch_sql(f"explain {query_text(name)}", params)
        return "\n".join(str(next(iter(row.values()))) for row in rows)
