"""The sweep in the database: whose turn it is, the rows that differ, the marks that it leaves."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

import simplejson

from zohosync.core.causes import ALIVE_S
from zohosync.core.records import BULK, Claim, Desired, ParentView, Ref, asked_of
from zohosync.core.survey import MOVING
from zohosync.store.claims import claim_of, parent_of
from zohosync.store.database import Database, Row, Transaction
from zohosync.store.source import Source

LEASE_S = 900.0
"""How long a turn holds: longer than a whole mapping may take to be read."""

BATCH = 500
"""Rows that are compared at a time: what waits on this process waits no longer than that takes."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Whether it is ours to sweep now: all kinds (`night`), and those that are `held`.

    `others` are the kinds of which another process has another mapping than we have.
    """

    taken: bool
    night: bool
    held: tuple[str, ...]
    others: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Compared:
    """A row, or a record without one, that differs from what was last judged."""

    ref: Ref
    desired: Desired | None
    claim: Claim | None


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of a mapping: the keys of all, and those that differ with their parents."""

    keys: Sequence[str]
    differing: Sequence[Compared]
    parents: Mapping[Ref, ParentView] = field(default_factory=dict)


class Sweeps:
    """The sweeps of one organisation, as one process takes part in them. Spends no call."""

    def __init__(self, database: Database, source: Source, *, org_id: str, worker: str) -> None:
        """The source's mappings are those that this process works with."""
        self._database = database
        self._source = source
        self._org_id = org_id
        self._who = {
            "org_id": org_id,
            "worker": worker,
            "mappings": simplejson.dumps(source.fingerprints),
        }

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds that have a mapping, parents before children."""
        return self._source.kinds

    async def note_mappings(self) -> tuple[str, ...]:
        """Say which mappings this process works with; those that are new to it are held.

        Returns the kinds that are held now, where something is new.
        """
        told = {name: self._who[name] for name in ("org_id", "mappings")}
        row = await self._database.fetch_one("note_mappings", **told)
        return tuple(row["held_kinds"]) if row else ()

    async def turn(self, at: str) -> Turn:
        """Take the turn, or keep it, where a sweep is due: nightly at this local time."""
        row = await self._database.fetch_one(
            "take_sweep", at=at, lease_s=LEASE_S, alive_s=ALIVE_S, **self._who
        )
        if row is None:
            return Turn(taken=False, night=False, held=(), others=())
        return Turn(row["taken"], row["night"], tuple(row["held"]), tuple(row["others"]))

    async def done(self, kinds: Sequence[str], *, over: bool, night: bool = False) -> None:
        """These kinds were counted; with `over` the turn ends, with `night` the night's sweep."""
        await self._database.execute(
            "end_sweep", kinds=list(kinds), over=over, night=night, **self._who
        )

    async def compared(self, kind: str, *, moving: bool) -> AsyncGenerator[Batch, None]:
        """Every row of a mapping, in batches, beside what was last judged of it.

        With `moving`, records that read their row again by themselves are among those that
        differ, too. Raises DatabaseError when the mapping cannot be read to its end.
        """
        async with (
            self._source.whole(kind, batch=BATCH) as (transaction, found),
            aclosing(found) as batches,
        ):
            async for rows in batches:
                wanted = [self._source.as_desired(kind, row) for row in rows]
                yield await self._batch(transaction, kind, wanted, moving=moving)

    async def _batch(
        self, transaction: Transaction, kind: str, wanted: Sequence[Desired], *, moving: bool
    ) -> Batch:
        keys = [desired.ref.key for desired in wanted]
        named = {"org_id": self._org_id, "kind": kind}
        rows = await transaction.fetch("read_asked", keys=keys, **named)
        known = {row["key"]: row for row in rows}
        differ = [each for each in wanted if _differs(each, known.get(each.ref.key), moving=moving)]
        claims = await self._claims(transaction, kind, [each.ref.key for each in differ])
        parents = await self._parents(transaction, differ)
        compared = [Compared(each.ref, each, claims.get(each.ref.key)) for each in differ]
        return Batch(keys, compared, parents)

    async def _claims(
        self, transaction: Transaction, kind: str, keys: Sequence[str]
    ) -> dict[str, Claim]:
        if not keys:
            return {}
        named = {"org_id": self._org_id, "kind": kind, "keys": list(keys)}
        rows = await transaction.fetch("read_known", **named)
        return {row["key"]: claim_of(self._org_id, row) for row in rows}

    async def _parents(
        self, transaction: Transaction, wanted: Sequence[Desired]
    ) -> dict[Ref, ParentView]:
        refs = sorted({slot.parent for desired in wanted for slot in desired.slots})
        if not refs:
            return {}
        rows = await transaction.fetch(
            "read_parents",
            org_id=self._org_id,
            kinds=[ref.kind for ref in refs],
            keys=[ref.key for ref in refs],
        )
        return {Ref(row["kind"], row["key"]): parent_of(row) for row in rows}

    async def absent(self, kind: str, keys: Sequence[str]) -> list[Compared]:
        """The records of a kind that are not among these keys, and were not seen to be gone."""
        named = {"org_id": self._org_id, "kind": kind}
        async with self._database.transaction(statement_timeout_s=60.0) as transaction:
            rows = await transaction.fetch("read_absent", keys=list(keys), **named)
            found: list[Compared] = []
            for start in range(0, len(rows), BATCH):
                some = [row["key"] for row in rows[start : start + BATCH]]
                claims = await self._claims(transaction, kind, some)
                found += [Compared(Ref(kind, key), None, claims.get(key)) for key in some]
        return found

    async def mark(self, kind: str, keys: Sequence[str]) -> None:
        """Mark these records, in the lane of backfills."""
        if keys:
            await self._database.execute(
                "mark_keys", org_id=self._org_id, kind=kind, keys=list(keys), priority=BULK
            )


def _differs(desired: Desired, known: Row | None, *, moving: bool) -> bool:
    """Whether a row says something else than when its record was last judged."""
    if known is None:
        return desired.eligible
    if known["gone"] or (moving and known["status"] in MOVING):
        return True
    return bool(known["asked"] != asked_of(desired))
