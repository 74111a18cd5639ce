"""What people ask of the database: how things stand, why one record stands so, what was done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from zohosync.core.causes import ALIVE_S
from zohosync.core.reasons import Story
from zohosync.core.records import Claim, Ref
from zohosync.store.claims import claim_of
from zohosync.store.database import Database, Row

LOOK = 1_000
"""Records of a kind and status whose reasons are looked at: some milliseconds' work."""

MOVING = ("marked", "pending", "syncing", "retrying", "uncertain")


@dataclass(frozen=True, slots=True)
class Progress:
    """How many records still move by themselves, rest with a problem, or wait for a parent."""

    moving: int
    failed: int
    waiting: int
    by_kind: Mapping[str, Mapping[str, int]]


async def active_organization(database: Database) -> str | None:
    """The organisation that marks go to; None where none is registered yet."""
    row = await database.fetch_one("read_active")
    return None if row is None else str(row["org_id"])


class History:
    """The books of one organisation, read for display; every method is one statement."""

    def __init__(self, database: Database, org_id: str) -> None:
        """Nothing is read yet."""
        self._database = database
        self._org_id = org_id

    async def organization(self) -> Row | None:
        """The organisation's row, with `closed_for_s` and `calls_today`; None when not known."""
        return await self._database.fetch_one("read_organization", org_id=self._org_id)

    async def counts(self) -> list[Row]:
        """Per kind and status: `records`, `linked`, `timed` (with a due time); exact, no scan."""
        return await self._database.fetch("count_records", org_id=self._org_id)

    async def oldest_due(self, kinds: Sequence[str]) -> dict[str, datetime]:
        """When the first record of each of these kinds is due; without those where none is."""
        rows = await self._database.fetch("read_oldest", org_id=self._org_id, kinds=list(kinds))
        return {row["kind"]: row["due_at"] for row in rows}

    async def progress(self) -> Progress:
        """What is still on its way; exact, and no scan."""
        rows = await self._database.fetch("read_progress", org_id=self._org_id)
        by_kind: dict[str, dict[str, int]] = {}
        for row in rows:
            by_kind.setdefault(row["kind"], {})[row["status"]] = row["records"]

        def total(*statuses: str) -> int:
            return sum(kind.get(status, 0) for kind in by_kind.values() for status in statuses)

        return Progress(total(*MOVING), total("failed"), total("waiting"), by_kind)

    async def reasons(self, limit: int = 10) -> list[Row]:
        """The most frequent reasons why records need a person, or wait, each with a sample key.

        `records` is `about` that many where a kind has more than LOOK in one status.
        """
        return await self._database.fetch(
            "read_reasons", org_id=self._org_id, limit=limit, look=LOOK
        )

    async def stopped(self) -> list[Row]:
        """Every record that is neither in step nor skipped, with its reason; by kind and key."""
        return await self._database.fetch("read_stopped", org_id=self._org_id)

    async def workers(self) -> list[Row]:
        """Who works on this organisation; `seen_s` seconds ago each was alive."""
        return await self._database.fetch("read_workers", org_id=self._org_id)

    async def alive(self) -> list[Row]:
        """The workers that are alive."""
        return [row for row in await self.workers() if row["seen_s"] < ALIVE_S]

    async def record(self, ref: Ref) -> Row | None:
        """One record as it stands, its open intent included; None when it is not known."""
        return await self._database.fetch_one(
            "read_record", org_id=self._org_id, kind=ref.kind, key=ref.key
        )

    async def chain(self, ref: Ref) -> list[Row]:
        """The record, the parent that it waits for, that one's parent …: the last is the cause."""
        return await self._database.fetch(
            "read_chain", org_id=self._org_id, kind=ref.kind, key=ref.key
        )

    async def story(self, ref: Ref) -> Story | None:
        """All that tells why a record stands where it does; None when it is not known."""
        record = await self.record(ref)
        if record is None:
            return None
        return Story(
            record,
            await self.chain(ref),
            await self.logs(ref.kind, ref.key, limit=5),
            await self.calls(ref.kind, ref.key, limit=5),
        )

    async def logs(self, kind: str | None, key: str | None, *, limit: int) -> list[Row]:
        """The newest attempts first."""
        return await self._database.fetch(
            "read_logs", org_id=self._org_id, kind=kind, key=key, limit=limit
        )

    async def calls(self, kind: str | None, key: str | None, *, limit: int) -> list[Row]:
        """The newest calls first."""
        return await self._database.fetch(
            "read_calls", org_id=self._org_id, kind=kind, key=key, limit=limit
        )

    async def retry(self, kind: str, key: str | None) -> int:
        """Mark the failed records of a kind, or the one of that key; returns how many."""
        return await self._database.execute("retry_failed", org_id=self._org_id, kind=kind, key=key)

    async def mark(self, refs: Sequence[Ref], *, priority: int) -> int:
        """Mark these records, in this order; returns how many."""
        kinds, keys = [ref.kind for ref in refs], [ref.key for ref in refs]
        return await self._database.execute("mark_refs", kinds=kinds, keys=keys, priority=priority)

    async def standing(self, refs: Sequence[Ref]) -> list[Row]:
        """How each of these records stands, in this order; `status` is None of one not known."""
        kinds, keys = [ref.kind for ref in refs], [ref.key for ref in refs]
        return await self._database.fetch(
            "read_stands", org_id=self._org_id, kinds=kinds, keys=keys
        )

    async def wake(self, kinds: Sequence[str]) -> int:
        """Make records of these kinds due that were given back for later; returns how many."""
        return await self._database.execute("wake_kinds", org_id=self._org_id, kinds=list(kinds))

    async def known(self, kind: str, keys: Sequence[str]) -> dict[str, Claim]:
        """Records as a claim would find them, by key, without taking them."""
        rows = await self._database.fetch(
            "read_known", org_id=self._org_id, kind=kind, keys=list(keys)
        )
        return {row["key"]: claim_of(self._org_id, row) for row in rows}
