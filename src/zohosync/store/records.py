"""The record row is the queue: fold marks, claim, look at parents, settle, rescue."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import simplejson

from zohosync.core.governor import DOWN_AFTER, MISSING_WINDOW_S
from zohosync.core.kinds import KINDS
from zohosync.core.lanes import Places
from zohosync.core.privacy import Evidence, hushed
from zohosync.core.records import (
    LANES,
    Claim,
    ParentView,
    Payload,
    Problem,
    Ref,
    Status,
    fingerprint,
)
from zohosync.core.renames import Namesake
from zohosync.core.settlement import IntentAfter, Settlement, linked_elsewhere
from zohosync.errors import CommitUnknownError, DatabaseError, LeaseLostError
from zohosync.store.claims import claim_of, hand_over, namesakes, parent_of
from zohosync.store.database import Database, Transaction

ONE_PER_ZOHO_ID = "records_one_per_zoho_id"
FOLD = 1_000
"""Marks that are folded at a time; their records are locked for that long (0.05 ms each)."""

SETTLE_TRIES = 4
"""How often a settlement is tried when Postgres calls its transaction off (deadlock, lock)."""


@dataclass(frozen=True, slots=True)
class AttemptNote:
    """What the log keeps of an attempt besides its settlement.

    `reads_saved`: look-ups whose results were known already; `asked`: what its row asked for.
    `evidence` is what may be kept of what was sent and answered.
    """

    step: str
    entity_type: str
    duration_ms: int
    identity: Payload | None = None
    evidence: Evidence | None = None
    reads_saved: int = 0
    asked: str | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """What the record is after its settlement, and how many calls the attempt spent."""

    status: Status
    calls: int


@dataclass(frozen=True, slots=True)
class NextDue:
    """What there is to do, in seconds from now; None = nothing with a time."""

    marks: bool
    due_in_s: float | None
    closed_for_s: float | None
    closed_reason: str | None
    paused: str | None
    overloads: int


class Records:
    """The records of one organisation."""

    def __init__(
        self,
        database: Database,
        *,
        org_id: str,
        worker: str,
        lease_s: float,
        debounce_s: float,
        mappings: Mapping[str, str] | None = None,
    ) -> None:
        """`lease_s` is how long a claim holds without a heartbeat; `mappings` are fingerprints."""
        self._database = database
        self._org_id = org_id
        self._worker = worker
        self._lease_s = lease_s
        self._debounce = timedelta(seconds=debounce_s)
        self._mappings = _json(dict(mappings or {}))

    async def fold_marks(self, limit: int = FOLD) -> int:
        """Fold up to `limit` marks into their records; returns how many were folded."""
        row = await self._database.fetch_one("fold_marks", **self._fold(limit))
        return int(row["marks"]) if row else 0

    async def claim(self, limit: int, lanes: Iterable[int] = tuple(LANES)) -> list[Claim]:
        """Take up to `limit` due records of those lanes under a fresh lease, most urgent first."""
        places = Places(limit, limit, dict.fromkeys(lanes, limit))
        return self._claimed(await self._database.fetch("claim_records", **self._claim(places)))

    async def take(self, places: Places) -> tuple[list[Claim], NextDue]:
        """`fold_marks` and `claim` in one round trip: the claims, and what is left to take."""
        _, rows, due = await self._database.batch(
            ("fold_marks", self._fold(FOLD)),
            ("claim_records", self._claim(places)),
            ("next_due", self._due([lane for lane, most in places.most.items() if most])),
        )
        return self._claimed(rows), _next_due(due)

    def _fold(self, limit: int) -> dict[str, Any]:
        return {
            "org_id": self._org_id,
            "limit": limit,
            "debounce": self._debounce,
            "kinds": list(KINDS),
        }

    def _claim(self, places: Places) -> dict[str, Any]:
        return {
            "org_id": self._org_id,
            "worker": self._worker,
            "lease_s": self._lease_s,
            "limit": places.total,
            "lower": places.lower,
            "priorities": list(places.most),
            "most": list(places.most.values()),
            "least": [places.least.get(lane, 0) for lane in places.most],
            "down_after": DOWN_AFTER,
            "mappings": self._mappings,
        }

    def _claimed(self, rows: Sequence[Mapping[str, Any]]) -> list[Claim]:
        claims = [claim_of(self._org_id, row) for row in rows]
        due = {Ref(row["kind"], row["key"]): row["due_at"] for row in rows}
        return sorted(claims, key=lambda claim: (-claim.priority, due[claim.ref], claim.ref))

    async def parents(self, refs: Iterable[Ref]) -> dict[Ref, ParentView]:
        """What is known of these records, by name; unknown ones are left out."""
        named = sorted(set(refs))
        if not named:
            return {}
        rows = await self._database.fetch(
            "read_parents",
            org_id=self._org_id,
            kinds=[ref.kind for ref in named],
            keys=[ref.key for ref in named],
        )
        return {Ref(row["kind"], row["key"]): parent_of(row) for row in rows}

    async def taken(self, kind: str, zoho_ids: Sequence[str]) -> dict[str, Ref]:
        """Which of these Zoho ids are linked already, and to which record."""
        if not zoho_ids:
            return {}
        rows = await self._database.fetch(
            "taken_ids", org_id=self._org_id, kind=kind, zoho_ids=list(zoho_ids)
        )
        return {row["zoho_id"]: Ref(kind, row["key"]) for row in rows}

    async def promised(self, kind: str, zoho_ids: Sequence[str]) -> dict[str, frozenset[Ref]]:
        """Which of these Zoho ids a reply named as a child, and the records it was named to."""
        if not zoho_ids or KINDS[kind].hint_for is None:
            return {}
        rows = await self._database.fetch(
            "promised_ids", org_id=self._org_id, zoho_ids=list(zoho_ids)
        )
        found: dict[str, frozenset[Ref]] = {}
        for row in rows:
            to = Ref(row["kind"], row["key"])
            found[row["zoho_id"]] = found.get(row["zoho_id"], frozenset()) | {to}
        return found

    async def namesakes(self, ref: Ref, identity: Payload) -> dict[Ref, Namesake]:
        """Other records that say the same of themselves, whether their rows are there or not."""
        return await namesakes(self._database, self._org_id, ref, identity)

    async def settle(self, claim: Claim, settlement: Settlement, note: AttemptNote) -> Settled:
        """Write the end of an attempt, its log row and its children's wake-up as one.

        Raises LeaseLostError when the lease was lost:
        then nothing is written, and an intent stays open for the next claim.
        """
        for tries_left in reversed(range(SETTLE_TRIES)):
            try:
                return await self._settle_once(claim, settlement, note)
            except DatabaseError as error:
                again = error.retryable or isinstance(error, CommitUnknownError)  # guarded: no harm
                if error.constraint == ONE_PER_ZOHO_ID and settlement.zoho_id:
                    others = await self.taken(claim.ref.kind, [settlement.zoho_id])
                    other = others.get(settlement.zoho_id)
                    settlement = linked_elsewhere(claim, settlement.zoho_id, other, note.step)
                elif not again or not tries_left:
                    raise
        raise AssertionError("unreachable")

    async def _settle_once(
        self, claim: Claim, settlement: Settlement, note: AttemptNote
    ) -> Settled:
        skips = settlement.status is Status.SKIPPED
        awake = wakes(self._org_id, claim.ref.kind, [claim.ref.key], skipped=skips)
        lost = LeaseLostError(f"the lease on {claim.ref} was lost before it was settled")
        if settlement.waiting_on is None and settlement.heir_of is None:
            values = self._values(claim, settlement, note)
            ends = await self._database.batch(("settle_record", values), *awake)
        else:
            async with self._database.transaction() as transaction:
                if settlement.heir_of is not None:
                    settlement = await hand_over(transaction, self._org_id, claim, settlement)
                else:
                    settlement = await self._park(transaction, claim, settlement)
                values = self._values(claim, settlement, note)
                ends = await transaction.batch(("settle_record", values), *awake)
                if not ends[0]:
                    raise lost
        if not ends[0]:
            raise lost
        return Settled(Status(ends[0][0]["status"]), int(ends[0][0]["calls"]))

    async def _park(
        self, transaction: Transaction, claim: Claim, settlement: Settlement
    ) -> Settlement:
        """Wait on the parent, unless it landed since the plan was made, or is known to be none."""
        parent = settlement.waiting_on
        assert parent is not None
        who = {"org_id": self._org_id, "parent_kind": parent.kind, "parent_key": parent.key}
        if settlement.suspect is not None:
            await transaction.batch(("suspect_parent", {**who, "priority": claim.priority}))
            return settlement
        seek_s, said = settlement.seek_s, {**who, "priority": claim.priority}
        if seek_s is not None:
            asked = [("seek_parent", {**said, "seek_s": seek_s})]
        else:  # what is refused has been answered
            query = "rouse_heir" if parent.kind == claim.ref.kind else "park_parent"
            asked = [] if settlement.status is Status.FAILED else [(query, said)]
        view = parent_of((await transaction.batch(*asked, ("look_at_parent", who)))[-1][0])
        needs = settlement.waiting_needs
        landed = view.zoho_id and not view.missing and (not needs or view.remote_state in needs)
        waits = settlement.status is Status.WAITING
        unknown = waits and seek_s and view.unlisted is not None and view.looked_s < seek_s
        if landed or unknown:
            return Settlement(Status.PENDING, "woken", 0.0, attempts=settlement.attempts)
        return settlement

    def _values(self, claim: Claim, settlement: Settlement, note: AttemptNote) -> dict[str, Any]:
        """What settle_record is told."""
        payload = settlement.payload
        waiting = settlement.waiting_on
        # Who the key belongs to is not overwritten while its row was gone and nobody judged yet.
        other = settlement.gone or (claim.gone_identity is not None and settlement.gone is None)
        return {
            "org_id": self._org_id,
            "kind": claim.ref.kind,
            "key": claim.ref.key,
            "epoch": claim.epoch,
            "version": claim.version,
            "debounce": self._debounce,
            "status": str(settlement.status),
            "due_in_s": settlement.due_in_s,
            "attempts": settlement.attempts,
            "looks": settlement.looks,
            "zoho_id": settlement.zoho_id,
            "payload": None if payload is None else _json(payload),
            "fingerprint": None if payload is None else fingerprint(payload),
            "remote_state": settlement.remote_state,
            "hints": _json(dict(settlement.hints)),
            "identity": None if note.identity is None or other else _json(note.identity),
            "gone": settlement.gone,
            "asked": note.asked,
            "checked": settlement.checked,
            "looked": settlement.checked or (claim.check and claim.intent is None),
            "keep_intent": settlement.intent is not IntentAfter.CLOSE,
            "intent_state": _INTENT_STATES[settlement.intent],
            "absent": settlement.intent is IntentAfter.ABSENT,
            "waiting_kind": waiting.kind if waiting else None,
            "waiting_key": waiting.key if waiting else None,
            "waiting_needs": sorted(settlement.waiting_needs),
            "succeeded": settlement.status is Status.SYNCED,
            **_problem(settlement.problem),
            **self._log(claim, settlement, note),
        }

    def _log(self, claim: Claim, settlement: Settlement, note: AttemptNote) -> dict[str, Any]:
        status = "success" if settlement.status is Status.SYNCED else str(settlement.status)
        kept = note.evidence or Evidence()
        closes = settlement.intent is IntentAfter.CLOSE
        return {
            "entity_type": note.entity_type,
            "step": note.step,
            "log_status": status,
            "result": settlement.result,
            "attempt": claim.attempts + 1,
            "request": _json_or_none(kept.request),
            "response": _json_or_none(kept.response),
            "log_message": hushed(_problem(settlement.problem)["error_message"], kept.values),
            "closed_intent": _json_or_none(kept.closed) if closes else None,
            "duration_ms": note.duration_ms,
            "worker": self._worker,
            "reads_saved": note.reads_saved,
        }

    async def extend_leases(self, claims: Sequence[Claim]) -> int:
        """Let the leases of these claims run on from now; returns how many still held."""
        if not claims:
            return 0
        return await self._database.execute(
            "extend_leases",
            org_id=self._org_id,
            lease_s=self._lease_s,
            kinds=[claim.ref.kind for claim in claims],
            keys=[claim.ref.key for claim in claims],
            epochs=[claim.epoch for claim in claims],
        )

    async def missing_lately(self) -> int:
        """How many linked records Zoho turned out to have lost within MISSING_WINDOW_S."""
        row = await self._database.fetch_one(
            "count_missing", org_id=self._org_id, window_s=MISSING_WINDOW_S
        )
        return int(row["missing"]) if row else 0

    async def rescue(self) -> int:
        """Give back what dead or frozen workers hold; returns how many records."""
        return (await self.rescue_and_look())[0]

    async def rescue_and_look(self) -> tuple[int, NextDue]:
        """`rescue` and `next_due` in one round trip."""
        rescued, due = await self._database.batch(
            ("rescue_records", {}), ("next_due", self._due(list(LANES)))
        )
        return len(rescued), _next_due(due)

    async def release(self) -> int:
        """Give back all that this worker still holds."""
        return await self._database.execute("release_worker", worker=self._worker)

    async def next_due(self) -> NextDue:
        """What there is to do, and in how many seconds."""
        return _next_due(await self._database.fetch("next_due", **self._due(list(LANES))))

    def _due(self, lanes: Sequence[int]) -> dict[str, Any]:
        return {"org_id": self._org_id, "priorities": lanes}

    async def unsettled(self, horizon_s: float) -> dict[str, Any]:
        """Counts of what will still move by itself within `horizon_s` seconds."""
        row = await self._database.fetch_one("unsettled", org_id=self._org_id, horizon_s=horizon_s)
        return row or {}


_INTENT_STATES = {
    IntentAfter.KEEP: "open",
    IntentAfter.ABSENT: "open",
    IntentAfter.DUPLICATE: "duplicate",
    IntentAfter.CLOSE: "closed",
}


def wakes(
    org_id: str, kind: str, keys: Sequence[str], *, skipped: bool = False
) -> list[tuple[str, Mapping[str, Any]]]:
    """Who is woken when these were settled or linked, each with a snapshot that sees who parked."""
    who = {"org_id": org_id, "kind": kind, "keys": list(keys)}
    refused = [("wake_refused", who)] if skipped or KINDS[kind].listed else []
    return [("wake_children", who), *refused]


def _next_due(rows: Sequence[Mapping[str, Any]]) -> NextDue:
    return NextDue(**rows[0]) if rows else NextDue(False, None, None, None, None, 0)


def _problem(problem: Problem | None) -> dict[str, str | None]:
    return {
        "error_class": str(problem.error_class) if problem else None,
        "error_code": problem.code if problem else None,
        "error_field": problem.field if problem else None,
        "error_message": problem.message[:1_000] if problem else None,
    }


def _json_or_none(value: Payload | None) -> str | None:
    return None if value is None else _json(value)


def _json(value: Any) -> str:
    return simplejson.dumps(value, use_decimal=True)
