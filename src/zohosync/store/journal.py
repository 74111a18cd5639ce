"""The journal is the limiter: a row before each call leaves, its outcome after, limits between."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import simplejson

from zohosync.core.governor import (
    DAY_GUARD_S,
    MINT_WINDOW_S,
    MINUTE_S,
    Effect,
    JournalView,
    Limits,
    Verdict,
)
from zohosync.core.records import Claim, Payload
from zohosync.store.database import Database, Row

Decide = Callable[[JournalView, int], Verdict]
Judge = Callable[[int], Effect]


@dataclass(frozen=True, slots=True)
class Entry:
    """One call that wants to leave, as the journal keeps it."""

    door: str
    lane: int
    operation: str
    method: str
    path: str
    claim: Claim | None = None
    writes: bool = False
    intent: Payload | None = None
    intent_total: str | None = None


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
    """What the journal granted: call ids by place among the entries, and the governor's verdict.

    An entry within the granted number without an id was refused by its claim's lost lease.
    """

    verdict: Verdict
    call_ids: dict[int, int]
    now: datetime


class Journal:
    """The calls of one organisation."""

    def __init__(
        self, database: Database, *, org_id: str, worker: str, time_limit_s: float, mint_key: str
    ) -> None:
        """`time_limit_s` is the longest that a call may take; its deadline in the journal."""
        self._database = database
        self._org_id = org_id
        self._worker = worker
        self._time_limit_s = time_limit_s
        self._mint_key = mint_key

    async def admit(self, entries: Sequence[Entry], decide: Decide, limits: Limits) -> Admission:
        """Journal as many entries, in order, as `decide` grants under the organisation's lock.

        `limits` says how much of the journal the decision needs.
        """
        async with self._database.transaction() as transaction:
            rows = await transaction.batch(
                ("lock_organization", {"org_id": self._org_id}),
                (
                    "view_journal",
                    {
                        "org_id": self._org_id,
                        "mint_key": self._mint_key,
                        "mint_window_s": MINT_WINDOW_S,
                        "minute_s": MINUTE_S,
                        "day_guard_s": DAY_GUARD_S,
                        "per_minute": limits.per_minute or 0,
                        "in_flight": limits.in_flight or 0,
                        "per_second": limits.per_second or 0,
                    },
                ),
            )
            row = rows[1][0]
            mints = entries[0].door == "accounts"
            verdict = decide(_mint_view(row) if mints else _view(row), len(entries))
            opened: list[Row] = []
            if verdict.granted:
                values = {
                    "org_id": self._org_id,
                    "worker": self._worker,
                    "time_limit_s": self._time_limit_s,
                    "minute_s": MINUTE_S,
                    "day_guard_s": DAY_GUARD_S,
                    "calls": self._calls(entries[: verdict.granted]),
                }
                (opened,) = await transaction.batch(("open_calls", values), last=True)
        ids = {int(found["place"]): int(found["call_id"]) for found in opened}
        return Admission(verdict, ids, row["now"])

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
        quota_left: int | None = None,
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
            "quota_left": quota_left,
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
            "overloads_max": None,
        }

    def _calls(self, entries: Sequence[Entry]) -> str:
        return simplejson.dumps(
            [
                {
                    "place": place,
                    "door": entry.door,
                    "lane": entry.lane,
                    "kind": entry.claim.ref.kind if entry.claim else None,
                    "key": entry.claim.ref.key if entry.claim else None,
                    "lease_epoch": entry.claim.epoch if entry.claim else None,
                    "operation": entry.operation,
                    "method": entry.method,
                    "path": entry.path,
                    "writes": entry.writes,
                    "intent": entry.intent,
                    "intent_total": entry.intent_total,
                    "mint_key": self._mint_key if entry.door == "accounts" else None,
                }
                for place, entry in enumerate(entries)
            ],
            use_decimal=True,
        )


def _view(row: dict[str, Any]) -> JournalView:
    return JournalView(
        now=row["now"],
        minute_until=row["minute_until"],
        flying_until=row["flying_until"],
        second_from=row["second_from"],
        day_used=row["day_used"],
        day_ends=row["day_ends"],
        closed_until=row["closed_until"],
        closed_reason=row["closed_reason"],
        paused=row["paused"],
        overloads=row["overloads"],
    )


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


def mint_limits(limits: Limits) -> Limits:
    """The limits that hold at the token door."""
    return Limits(per_minute=limits.mints, in_flight=None, per_day=None)
