"""The journal is the limiter: a row before each call leaves, its outcome after, limits between."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import simplejson

from zohosync.core.brake import Brake
from zohosync.core.governor import (
    DAY_GUARD_S,
    MINT_WINDOW_S,
    MINUTE_S,
    SECOND_S,
    Effect,
    JournalView,
    Limits,
    limits_of,
)
from zohosync.core.lanes import Books, Choice, Counted, Mark, marks_after
from zohosync.core.records import Claim, Payload
from zohosync.core.replies import Quota
from zohosync.errors import LimitsUnreadableError, OrganizationGoneError
from zohosync.store.brakes import stop_endings
from zohosync.store.database import Database, Row

Decide = Callable[[JournalView, Books, Limits], Choice]
Judge = Callable[[int], Effect]


@dataclass(frozen=True, slots=True)
class Entry:
    """One call that wants to leave, as the journal keeps it; `ends`: it would close a record."""

    door: str
    lane: int
    operation: str
    method: str
    path: str
    claim: Claim | None = None
    writes: bool = False
    intent: Payload | None = None
    intent_total: str | None = None
    ends: bool = False


@dataclass(frozen=True, slots=True)
class Ending:
    """How a call ended, as the journal keeps it."""

    call_id: int
    sent: bool
    status: int | None
    code: str | None
    outcome: str
    latency_ms: float


@dataclass(frozen=True, slots=True)
class Admission:
    """What the journal granted: call ids by place among the entries, the choice and the limits.

    An entry that was chosen and has no id was refused by its claim's lost lease. Those in `stopped`
    may not leave, whoever chose them, for that reason; `braked` tells which kinds this has paused.
    """

    choice: Choice
    limits: Limits
    call_ids: dict[int, int]
    now: datetime
    stopped: Mapping[int, str] = field(default_factory=dict)
    braked: tuple[str, ...] = ()


class Journal:
    """The calls of one organisation."""

    def __init__(
        self,
        database: Database,
        *,
        org_id: str,
        worker: str,
        time_limit_s: float,
        mint_key: str,
        brake: Brake | None = None,
    ) -> None:
        """`time_limit_s` is the longest that a call may take; its deadline in the journal."""
        self._database = database
        self._org_id = org_id
        self._worker = worker
        self._time_limit_s = time_limit_s
        self._mint_key = mint_key
        self._brake = brake or Brake()
        self._told: str | None = None
        self._limits = Limits(None, None, None)
        self._today = {"org_id": org_id, "minute_s": MINUTE_S, "day_guard_s": DAY_GUARD_S}
        self._asks = {
            "mint_key": mint_key,
            "mint_window_s": MINT_WINDOW_S,
        } | self._today

    async def admit(self, entries: Sequence[Entry], decide: Decide) -> Admission:
        """Journal those entries that `decide` chooses under the organisation's lock.

        Raises OrganizationGoneError when the organisation's row is not there, LimitsUnreadableError
        when nobody can tell which limits hold.
        """
        async with self._database.transaction() as transaction:
            who = {"org_id": self._org_id}
            rows = await transaction.batch(("lock_organization", who), ("view_journal", self._asks))
            if not rows[1]:
                raise OrganizationGoneError(self._org_id, self._database.place)
            row = rows[1][0]
            mints = entries[0].door == "accounts"
            marks = _marks(row["lanes_waiting"])
            limits = self._in_force(row)
            books = _books(row, marks)
            view = _mint_view(row) if mints else _view(row, books.calls)
            choice = decide(view, books, limits)
            claims = {place: entries[place].claim for place in choice.places if entries[place].ends}
            refs = {place: claim.ref for place, claim in claims.items() if claim}
            told = await stop_endings(transaction, self._org_id, refs, self._brake)
            places = [place for place in choice.places if place not in told.reasons]
            calls = []
            if places and row["day_begins"] and not mints:
                calls.append(("begin_day", self._today))
            if places:
                calls.append(("open_calls", self._opening(entries, places)))
            noted = None if mints else marks_after(marks, choice, self._worker, row["now"])
            if noted is not None or choice.lanes_closed:
                calls.append(("note_lanes", {**who, **_lanes(noted, marks, choice)}))
            results = await transaction.batch(*calls, last=True) if calls else []
        opened = dict(zip((name for name, _ in calls), results, strict=True)).get("open_calls", ())
        ids = {int(found["place"]): int(found["call_id"]) for found in opened}
        return Admission(choice, limits, ids, row["now"], told.reasons, told.braked)

    def _in_force(self, row: Row) -> Limits:
        """The limits in the organisation's row; the day's is no higher than Zoho says it is."""
        if row["limits"] != self._told:
            try:
                self._limits = limits_of(simplejson.loads(row["limits"], use_decimal=True))
                self._told = row["limits"]
            except (ValueError, RecursionError) as error:
                self._told = None
                raise LimitsUnreadableError(
                    self._org_id, self._database.place, str(error)
                ) from None
        quota, limit = row["quota_limit"], self._limits.per_day
        if quota is None or limit is None or quota >= limit:
            return self._limits
        return replace(self._limits, per_day=quota)

    def _opening(self, entries: Sequence[Entry], places: Sequence[int]) -> dict[str, Any]:
        return {
            "org_id": self._org_id,
            "worker": self._worker,
            "time_limit_s": self._time_limit_s,
            "minute_s": MINUTE_S,
            "calls": self._calls([(place, entries[place]) for place in places]),
        }

    async def finish(self, endings: Sequence[Ending]) -> None:
        """Write how calls ended; a second end of the same call changes nothing."""
        await self._database.execute(
            "finish_calls",
            call_ids=[ending.call_id for ending in endings],
            sent=[ending.sent for ending in endings],
            statuses=[ending.status for ending in endings],
            codes=[ending.code for ending in endings],
            outcomes=[ending.outcome for ending in endings],
            latencies_ms=[round(ending.latency_ms) for ending in endings],
            minute_s=MINUTE_S,
        )

    async def touch(
        self,
        effect: Effect,
        *,
        close_s: float | None,
        close_mints_s: float | None = None,
        quota: Quota | None = None,
        overloads_max: int | None = None,
        judge: Judge | None = None,
    ) -> int:
        """Write what a reply did to the organisation; returns its overload failures in a row.

        They are not counted beyond `overloads_max`: that is for probing reads, whose failures
        alone make the wait for the next one longer. `judge` says what so many of them do besides,
        and that is written before anybody else can change their number.
        """
        values = self._effect(effect, close_s) | {
            "close_mints_s": close_mints_s,
            "quota_left": quota.left if quota else None,
            "quota_limit": quota.limit if quota else None,
            "overloads_max": overloads_max,
        }
        if judge is None:
            row = await self._database.fetch_one("touch_organization", **values)
            return int(row["overloads"]) if row else 0
        async with self._database.transaction() as transaction:
            row = await transaction.fetch_one("touch_organization", **values)
            overloads = int(row["overloads"]) if row else 0
            then = judge(overloads)
            if then.close_s is not None:
                closing = self._effect(then, then.close_s)
                await transaction.batch(("touch_organization", closing), last=True)
        return overloads

    def _effect(self, effect: Effect, close_s: float | None) -> dict[str, Any]:
        """What touch_organization is told."""
        return {
            "org_id": self._org_id,
            "close_s": close_s,
            "until_midnight": effect.close_until_midnight,
            "day_guard_s": DAY_GUARD_S,
            "reason": effect.reason,
            "close_mints_s": None,
            "pause": effect.pause,
            "overload": effect.overload,
            "healthy": effect.healthy,
            "quota_left": None,
            "quota_limit": None,
            "overloads_max": None,
        }

    def _calls(self, entries: Sequence[tuple[int, Entry]]) -> str:
        return simplejson.dumps(
            [
                {
                    "place": place,
                    "door": entry.door,
                    "lane": entry.lane,
                    "kind": entry.claim.ref.kind if entry.claim else None,
                    "key": entry.claim.ref.key if entry.claim else None,
                    "lease_epoch": entry.claim.epoch if entry.claim else None,
                    "identity": entry.claim.identity if entry.claim else None,
                    "operation": entry.operation,
                    "method": entry.method,
                    "path": entry.path,
                    "writes": entry.writes,
                    "intent": entry.intent,
                    "intent_total": entry.intent_total,
                    "mint_key": self._mint_key if entry.door == "accounts" else None,
                    "ends": entry.ends,
                }
                for place, entry in entries
            ],
            use_decimal=True,
        )


def _view(row: Row, calls: Sequence[Counted]) -> JournalView:
    minute, second = timedelta(seconds=MINUTE_S), row["now"] - timedelta(seconds=SECOND_S)
    flying = (call.until - minute for call in calls if call.overload is None)
    return JournalView(
        now=row["now"],
        minute_until=[call.until for call in calls],
        flying_until=[deadline for deadline in flying if deadline > row["now"]],
        second_from=[call.started for call in calls if call.started > second],
        day_used=row["day_used"],
        day_ends=row["day_ends"],
        closed_until=row["closed_until"],
        closed_reason=row["closed_reason"],
        paused=row["paused"],
        overloads=row["overloads"],
    )


def _books(row: Row, marks: Mapping[int, Mark]) -> Books:
    calls = zip(
        row["minute_lane"],
        row["minute_started"],
        row["minute_until"],
        row["minute_overload"],
        row["minute_kind"],
        strict=True,
    )
    return Books(
        calls=list(map(Counted._make, calls)),
        day={int(lane): calls for lane, calls in row["day_by_lane"].items()},
        day_began=row["day_began"],
        waiting={lane: mark.until for lane, mark in marks.items()},
        foreign=row["day_foreign"],
    )


def _marks(told: str) -> dict[int, Mark]:
    if told == "{}":
        return {}
    return {
        int(lane): Mark(mark["by"], datetime.fromisoformat(mark["until"]))
        for lane, mark in simplejson.loads(told).items()
    }


def _lanes(
    noted: Mapping[int, Mark] | None, marks: Mapping[int, Mark], choice: Choice
) -> dict[str, str]:
    """What note_lanes is told."""
    waiting = marks if noted is None else noted
    return {
        "waiting": simplejson.dumps(
            {lane: {"by": by, "until": until.isoformat()} for lane, (by, until) in waiting.items()}
        ),
        "closed": simplejson.dumps(
            {lane: until.isoformat() for lane, until in choice.lanes_closed.items()}
        ),
    }


def _mint_view(row: dict[str, Any]) -> JournalView:
    """The token door's own window: as a minute of ten minutes."""
    window = timedelta(seconds=MINT_WINDOW_S)
    return JournalView(
        now=row["now"],
        minute_until=[at + window for at in row["mints_from"]],
        closed_until=row["mints_closed_until"],
        closed_reason="token endpoint closed",
        paused=row["paused"],
    )
