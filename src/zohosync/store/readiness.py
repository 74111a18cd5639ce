"""What the production check reads: the organisation, its indexes, its figures and its clock."""

from datetime import date, timedelta
from typing import Any

from zohosync.clock import Clock
from zohosync.core.governor import DOWN_AFTER
from zohosync.core.records import LANES
from zohosync.store.database import Database, Row, query_text

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
