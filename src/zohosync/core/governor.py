"""How many calls may leave now, or not before when: a pure function of what the journal says.

Theory of operation. Every HTTP call has a row in the journal before it leaves. It holds a place
in the remote's minute from its start until 60.25 s after its finish (counting from the start was
simulated to put 105 calls into the remote's minute), and a place in flight until its finish; a
call without an outcome finishes at its deadline. All limits hold at once; the organisation's row
is locked while `admit` decides, so any number of processes share them exactly.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from zohosync.core.adaptive import Pace
from zohosync.core.kinds import KINDS
from zohosync.core.records import BULK, NORMAL, UPKEEP
from zohosync.core.replies import (
    Closed,
    Quota,
    Reply,
    Throttled,
    Unauthorized,
    Unavailable,
    Unreachable,
)

MINUTE_S = 60.25
"""The remote's rolling minute, with a guard band for jitter between our clocks."""

SECOND_S = 1.05
"""The same for a limit per second, counted from the start of a call."""

_SECOND = timedelta(seconds=SECOND_S)

POLL_S = 1.0
"""How long a place in flight is taken for granted: its call may finish at any moment."""

DAY_GUARD_S = 30.0
"""How far the remote's midnight may be from ours: calls near it count on both days."""

MINT_WINDOW_S = 625.0
"""Zoho grants 10 access tokens per refresh token in 10 minutes (documented), counted when it sees
them: up to 22 s after the start, from which we count."""


BLOCK_MAX_S = 90_000.0
"""The longest `Retry-After` that can be believed: a day and an hour."""


@dataclass(frozen=True, slots=True)
class Shares:
    """What each lane may count on; shares are of the minute and of the day, between 0 and 1.

    `room` places of the minute are kept free for live, and `day_room` of the day at its beginning,
    less and less until midnight. `least` is guaranteed to a lower lane that waits. `others` is kept
    back for people and other integrations of the organisation.
    """

    room: int = 1
    day_room: float = 0.15
    least: Mapping[int, float] = field(
        default_factory=lambda: {NORMAL: 0.2, BULK: 0.1, UPKEEP: 0.02}
    )
    others: float = 0.0

    def faults(self) -> list[str]:
        """What is wrong with the numbers, in words."""
        shares = {f"least.{lane}": share for lane, share in self.least.items()}
        shares |= {"day_room": self.day_room, "others": self.others}
        faults = [
            f"lanes.{name} is {share}: it must be a share between 0 and 0.9"
            for name, share in shares.items()
            if not 0 <= share <= 0.9
        ]
        if type(self.room) is not int or not 0 <= self.room <= 50:
            faults.append(f"lanes.room is {self.room}: it must be a whole number from 0 to 50")
        if sum(self.least.values()) + self.others > 0.9:
            faults.append("lanes.least and lanes.others together leave live under a tenth")
        return faults


@dataclass(frozen=True, slots=True)
class Limits:
    """What the organisation's plan allows; None lifts a limit.

    `block_s` is how long the organisation stays closed when a 429 names no `Retry-After`; `gap_s`
    is the least time between the starts of two calls.
    """

    per_minute: int | None
    in_flight: int | None
    per_day: int | None
    per_second: int | None = None
    mints: int = 10
    block_s: float = 1_800.0
    warn_at: int | None = None
    shares: Shares = field(default_factory=Shares)
    pace: Pace = field(default_factory=Pace)
    gap_s: float = 0.0

    def faults(self) -> list[str]:
        """What is wrong with the numbers, in words."""
        named = ("per_minute", "in_flight", "per_day", "per_second", "mints", "warn_at")
        values = {name: getattr(self, name) for name in named}
        faults = [
            f"limits.{name} is {value}: it must be a whole number of 1 or more"
            for name, value in values.items()
            if value is not None and (type(value) is not int or value < 1)
        ]
        if not 0 < self.block_s <= BLOCK_MAX_S:
            faults.append(
                f"limits.block_s is {self.block_s}: it must be over 0 and at most {BLOCK_MAX_S:g}"
            )
        if not 0 <= self.gap_s <= 1:
            faults.append(f"limits.gap_s is {self.gap_s}: it must be between 0 and 1")
        return faults + self.shares.faults() + self.pace.faults()


_BATCHED = [kind for kind in KINDS.values() if kind.guide_batch]

PLANS = MappingProxyType(
    {
        "standard": Limits(per_minute=100, in_flight=5, per_day=1_000),
        "premium": Limits(per_minute=100, in_flight=10, per_day=5_000),
        "guide": Limits(
            per_minute=120,
            in_flight=10,
            per_day=25_000,
            per_second=10,
            block_s=600.0,
            warn_at=20_000,
            gap_s=0.15,
            pace=Pace(
                pause_s=3.0,
                sizes={kind.name: kind.guide_batch[0] for kind in _BATCHED if kind.guide_batch},
                pauses_s={kind.name: kind.guide_batch[1] for kind in _BATCHED if kind.guide_batch},
            ),
        ),
        "unlimited": Limits(per_minute=None, in_flight=64, per_day=None, mints=10),
    }
)
"""Limits by plan. `standard` and `premium` as published for Zoho Billing (docs/zoho.md); `guide` is
the performance guide's own; `unlimited` is for the sandbox with its limits lifted."""

DAY_SPENT = "the day's limit is spent"

REFUSED = "Zoho refuses our credentials"

MEND = "zohosync login, then zohosync resume"
"""What mends that: the pause stands until somebody says so, whoever has the new credentials."""

OUTAGE = "Zoho does not answer"

SINGLE = "one call at a time until Zoho answers"

DOWN_AFTER = 5
"""Overload failures in a row across records that mark the organisation as down."""

MISSING_MAX, MISSING_WINDOW_S = 5, 600.0
"""Linked records lost in Zoho within ten minutes that pause the organisation."""

PROBE_FIRST_S, PROBE_CAP_S = 30.0, 300.0
"""While down: one probing read after 30 s, doubling to 5 minutes."""


@dataclass(frozen=True, slots=True)
class JournalView:
    """What the journal and the organisation's row say, read under the row's lock.

    `minute_until` are the instants at which the places of the minute come free, `flying_until`
    the deadlines of calls without an outcome, `second_from` the starts within the last second.
    """

    now: datetime
    minute_until: Sequence[datetime] = ()
    flying_until: Sequence[datetime] = ()
    second_from: Sequence[datetime] = ()
    day_used: int = 0
    day_ends: datetime | None = None
    closed_until: datetime | None = None
    closed_reason: str | None = None
    paused: str | None = None
    overloads: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """`granted` calls may start now; the rest not before `not_before`, for `reason`.

    `closed` says that waiting at the gate is no use: give the records back until then.
    """

    granted: int
    not_before: datetime | None = None
    reason: str | None = None
    closed: bool = False


def admit(view: JournalView, limits: Limits, wanted: int, *, probe: bool = False) -> Verdict:
    """How many of `wanted` calls may start at `view.now` without any limit being crossed.

    A `probe` is the one reading call that finds out whether a down organisation is up again.
    """
    now = view.now
    if view.paused is not None:
        return Verdict(0, now + timedelta(seconds=PROBE_CAP_S), view.paused, closed=True)
    if view.closed_until is not None and view.closed_until > now:
        return Verdict(0, view.closed_until, view.closed_reason or "closed", closed=True)
    probed = any(until > now for until in view.flying_until)  # by somebody else: one is enough
    if view.overloads >= DOWN_AFTER and (probed or not probe):
        return Verdict(0, now + timedelta(seconds=1), "down", closed=True)
    day_ends = view.day_ends or now + timedelta(seconds=MINUTE_S)
    if limits.per_day is not None and view.day_used >= limits.per_day:
        return Verdict(0, day_ends, DAY_SPENT, closed=True)
    rooms: list[tuple[int, datetime, str]] = []
    if view.closed_until is not None:  # the closing is over, and no call has found out what is now
        flying = [until for until in view.flying_until if until > now]
        soon = min(flying, default=now + timedelta(seconds=POLL_S))  # it may end at any moment
        rooms.append((0 if flying else 1, soon, SINGLE))
    if limits.per_day is not None:
        rooms.append((limits.per_day - view.day_used, day_ends, "day"))
    for limit, taken, held_s, reason in (
        (limits.per_minute, view.minute_until, MINUTE_S, "minute"),
        (limits.in_flight, view.flying_until, POLL_S, "in flight"),
        (limits.per_second, [at + _SECOND for at in view.second_from], SECOND_S, "second"),
    ):
        if limit is not None:
            rooms.append((*_room(limit, taken, held_s, now), reason))
    if limits.gap_s > 0:
        gap = timedelta(seconds=limits.gap_s)
        free_at = max(view.second_from, default=now - gap) + gap
        rooms.append((0, free_at, "gap") if free_at > now else (1, now + gap, "gap"))
    granted = max(0, min([wanted, *(room for room, _, _ in rooms)]))
    if granted >= wanted:
        return Verdict(granted)
    # Every limit without room must have one again: the last of them decides.
    not_before, reason = max((at, reason) for room, at, reason in rooms if room <= granted)
    return Verdict(granted, max(not_before, now + timedelta(milliseconds=5)), reason)


def _room(
    limit: int, taken: Sequence[datetime], held_s: float, now: datetime
) -> tuple[int, datetime]:
    """Free places, and when the next one comes free once those are taken, too.

    A call that takes a place now holds it for `held_s`.
    """
    live = sorted(at for at in taken if at > now)
    if limit < 1:
        return 0, now + timedelta(seconds=held_s)
    if len(live) < limit:
        return limit - len(live), live[0] if live else now + timedelta(seconds=held_s)
    return 0, live[len(live) - limit]


@dataclass(frozen=True, slots=True)
class Effect:
    """What a reply does to the organisation: closes it, pauses it, counts towards an outage."""

    close_s: float | None = None
    close_until_midnight: bool = False
    reason: str | None = None
    pause: str | None = None
    overload: bool = False
    healthy: bool = False


def effect_of(reply: Reply, limits: Limits) -> Effect:
    """What to do with the organisation after this reply; the record's part is `judge`'s."""
    match reply:
        case Throttled(code="1070", retry_after_s=seconds):
            return Effect(close_s=_sane(seconds, 5.0), reason="too many calls in flight (1070)")
        case Throttled(code="45", retry_after_s=seconds):
            if seconds is None:
                return Effect(close_until_midnight=True, reason="day limit of Zoho (45)")
            return Effect(close_s=_sane(seconds, 86_400.0), reason="day limit of Zoho (45)")
        case Throttled(code=code, retry_after_s=seconds):
            return Effect(
                close_s=_sane(seconds, limits.block_s), reason=f"blocked by Zoho ({code})"
            )
        case Unauthorized(code=code, message=message):
            return Effect(pause=f"{REFUSED} ({code}): {message}")
        case Unavailable() | Unreachable():
            return Effect(overload=True)
        case Closed():
            return Effect()
        case _:
            return Effect(healthy=True)


def too_many_missing(count: int) -> str | None:
    """Why the organisation is to pause when Zoho lost `count` linked records lately, or None.

    Count them over MISSING_WINDOW_S. One may have been deleted by hand; several mean that this is
    another organisation than before, or that somebody is clearing it.
    """
    if count < MISSING_MAX:
        return None
    return f"{count} linked records are no longer in Zoho: is it still the same organisation?"


def outage(overloads: int) -> Effect:
    """What so many overload failures in a row do: enough of them close it until the next probe."""
    if overloads < DOWN_AFTER:
        return Effect()
    return Effect(close_s=probe_in_s(overloads), reason=OUTAGE)


def is_daily(quota: Quota, limits: Limits) -> bool:
    """Whether what Zoho says of its quota is about the day: no window of minutes allows so much."""
    return limits.per_minute is None or quota.limit > 2 * limits.per_minute


def mint_limits(limits: Limits) -> Limits:
    """The limits that hold at the token door, whose minute has ten."""
    return Limits(per_minute=limits.mints, in_flight=None, per_day=None)


def probe_in_s(overloads: int) -> float:
    """Seconds until the next probing read of a down organisation."""
    doublings = min(10, max(0, overloads - DOWN_AFTER))
    return float(min(PROBE_CAP_S, PROBE_FIRST_S * 2**doublings))


def _sane(seconds: float | None, otherwise: float) -> float:
    """A `Retry-After` that can be believed: over zero, not over a day and an hour."""
    if seconds is None or not seconds > 0:
        return otherwise
    return min(seconds, BLOCK_MAX_S)


def limits_of(told: Mapping[str, Any]) -> Limits:
    """Limits as `dataclasses.asdict` wrote them down; what is not there has its default.

    Raises ValueError in words: somebody may have changed them by hand.
    """
    fields = _floats(told)
    try:
        shares, pace = dict(fields.pop("shares", {})), dict(fields.pop("pace", {}))
        if "least" in shares:
            shares["least"] = {int(lane): share for lane, share in shares["least"].items()}
        limits = Limits(**fields, shares=Shares(**shares), pace=Pace(**pace))
        faults = limits.faults()
    except (TypeError, AttributeError) as error:  # a field that there is not, or is missing
        raise ValueError(str(error).replace(".__init__()", "")) from None
    if faults:
        raise ValueError("; ".join(faults))
    return limits


def _floats(told: Mapping[str, Any]) -> dict[str, Any]:
    """What was read with Decimals in it, deep down, with floats."""
    return {
        name: _floats(value)
        if isinstance(value, Mapping)
        else float(value)
        if isinstance(value, Decimal)
        else value
        for name, value in told.items()
    }
