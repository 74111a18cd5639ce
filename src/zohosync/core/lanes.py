"""Whose turn it is: which of the calls that wait take the places that the limits leave.

Theory of operation. `admit` says how many calls may start; `choose` says which. Live calls come
first and take every place but those that a waiting lower lane is still owed (its guaranteed share
of the minute and of the day). A lower lane leaves `room` free for live, starts no faster than the
minute allows on average, so that places come free evenly, and gives way to a higher lane that
waits, unless it has not had its guaranteed share yet. What no lane waits for, anybody may take.
In the day, live has a reserve that shrinks to nothing by midnight.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from zohosync.core.adaptive import MANY, batch_over, size_after
from zohosync.core.governor import MINUTE_S, POLL_S, JournalView, Limits, Verdict, admit
from zohosync.core.records import BULK, LANES, LIVE

BURST = 3
"""How many calls of lower lanes may start at once; more would come free at once a minute later."""

YIELD_S = 0.25
"""How soon a lane asks again that gave way to a higher one."""

GIVE_BACK_S = 5.0
"""What waits longer than this for its lane is given back, and the lane closed until then."""

MARK_S = 1.0
"""How long a waiting worker is known to wait without asking again; it asks once a second."""

FOREIGN_BY = 1_800.0
"""How much of a day must be over before its foreign calls say how many are to come."""


class Asked(NamedTuple):
    """A call that wants to start."""

    lane: int
    kind: str | None = None


class Counted(NamedTuple):
    """A call that holds a place in the minute; `overload` is None while it is in flight."""

    lane: int
    started: datetime
    until: datetime
    overload: bool | None = None
    kind: str | None = None


@dataclass(frozen=True, slots=True)
class Books:
    """What the journal says beside its limits: who has had how much, and who waits.

    `waiting` says until when it holds good that somebody waits in a lane; `foreign` are today's
    calls that were not ours.
    """

    calls: Sequence[Counted] = ()
    day: Mapping[int, int] = field(default_factory=dict)
    day_began: datetime | None = None
    waiting: Mapping[int, datetime] = field(default_factory=dict)
    foreign: int = 0


@dataclass(frozen=True, slots=True)
class Choice:
    """`places` of those that asked may start now; the rest not before `not_before`, for `reason`.

    `closed`: waiting at the gate is no use for anybody. `lanes_closed`: nor for these lanes before
    then. `waiting`: the lanes in which somebody waits at the gate. `size` is how many calls may be
    in flight at present.
    """

    places: tuple[int, ...] = ()
    not_before: datetime | None = None
    reason: str | None = None
    closed: bool = False
    lanes_closed: Mapping[int, datetime] = field(default_factory=dict)
    waiting: frozenset[int] = frozenset()
    size: int = MANY


def in_line(verdict: Verdict) -> Choice:
    """The choice where there are no lanes: the first in the line."""
    return Choice(
        tuple(range(verdict.granted)), verdict.not_before, verdict.reason, closed=verdict.closed
    )


class Mark(NamedTuple):
    """That somebody waits in a lane: who, and until when that holds good."""

    by: str
    until: datetime


def marks_after(
    marks: Mapping[int, Mark], choice: Choice, worker: str, now: datetime
) -> dict[int, Mark] | None:
    """Who waits in which lane, after this worker's choice; None when nothing need be written.

    A mark outlives the next question by half a second: whoever is told to wait asks again.
    """
    after = {lane: mark for lane, mark in marks.items() if mark.until > now}
    latest = now + timedelta(seconds=MARK_S)
    until = min(choice.not_before or latest, latest) + timedelta(seconds=MARK_S / 2)
    for lane in LANES:
        mark = after.get(lane)
        if lane in choice.waiting:
            if mark is None or mark.until < min(choice.not_before or latest, latest):
                after[lane] = Mark(worker, until)
        elif mark is not None and mark.by == worker:
            del after[lane]
    return None if after == {lane: m for lane, m in marks.items() if m.until > now} else after


class _Hold(NamedTuple):
    until: datetime
    reason: str


def choose(
    view: JournalView,
    books: Books,
    limits: Limits,
    asked: Sequence[Asked],
    *,
    probe: bool = False,
) -> Choice:
    """Which of the calls that asked, in the order of the line, may start at `view.now`."""
    ours = within(view, books, limits)
    verdict = admit(view, ours, len(asked), probe=probe)
    size = ours.in_flight or MANY
    if verdict.closed:
        return Choice((), verdict.not_before, verdict.reason, closed=True, size=size)
    here = {each.lane for each in asked}
    waiting = here | {lane for lane, until in books.waiting.items() if until > view.now}
    turn = _Turn(view, books, ours, waiting)
    places: list[int] = []
    held: dict[int, _Hold] = {}
    for place, each in sorted(enumerate(asked), key=lambda one: (-one[1].lane, one[0])):
        hold = turn.hold(each)
        if hold is None and len(places) < verdict.granted:
            places.append(place)
            turn.take(each)
        else:
            limit = _Hold(verdict.not_before or view.now, verdict.reason or "")
            found = hold or limit
            held[each.lane] = min(held.get(each.lane, found), found)
    give_back = view.now + timedelta(seconds=GIVE_BACK_S)
    closed = {
        lane: hold.until
        for lane, hold in held.items()
        if hold.until > give_back and hold.reason == "day"
    }
    held = {lane: hold for lane, hold in held.items() if lane not in closed}
    soonest = min(held.values(), default=None)
    soon = view.now + timedelta(milliseconds=5)
    return Choice(
        places=tuple(sorted(places)),
        not_before=max(soonest.until, soon) if soonest else None,
        reason=soonest.reason if soonest else None,
        lanes_closed=closed,
        waiting=frozenset(held),
        size=size,
    )


def within(view: JournalView, books: Books, limits: Limits) -> Limits:
    """The limits that are ours: less what others take, and as much in flight as went well."""
    others = limits.shares.others
    per_minute, per_day, in_flight = limits.per_minute, limits.per_day, limits.in_flight
    if per_minute is not None:
        at_once = _foreign_a_minute(view, books)
        kept = max(math.ceil(others * per_minute), min(at_once, per_minute // 5))
        per_minute = max(1, per_minute - kept)
    if per_day is not None:
        caution = math.ceil(per_day / 200) if books.foreign else 0
        per_day -= max(math.ceil(others * per_day), books.foreign + caution)
    if in_flight is not None and limits.per_minute is not None:
        ended = sorted(
            (call.until, call.overload) for call in books.calls if call.overload is not None
        )
        most = min(in_flight, limits.pace.most)
        pace = replace(
            limits.pace,
            most=most,
            start=min(limits.pace.start, most),
            least=min(limits.pace.least, most),
        )
        in_flight = size_after((overload for _, overload in ended), pace)
    return replace(limits, per_minute=per_minute, per_day=per_day, in_flight=in_flight)


@dataclass(frozen=True, slots=True)
class Places:
    """How many records a worker may claim: in all, below live, and of each lane, highest first.

    So many as `least` says of a lane come before what is more urgent.
    """

    total: int
    lower: int
    most: Mapping[int, int]
    least: Mapping[int, int] = field(default_factory=dict)


def places_of(slots: int, reserve: int, held: Mapping[int, int], bulk_most: int) -> Places:
    """The places of a worker with so many slots that holds so many records of each lane.

    `reserve` of the slots are for live alone; a lower lane of which it holds nothing gets one
    before live gets the others; a backfill holds no more than `bulk_most` at once.
    """
    free = max(0, slots - sum(held.values()))
    reserved = max(0, min(reserve, slots - 1) - held.get(LIVE, 0))
    lower = max(0, free - reserved)
    most = {lane: free if lane == LIVE else lower for lane in LANES}
    most[BULK] = min(most[BULK], max(0, bulk_most - held.get(BULK, 0)))
    fair = slots > len(LANES)
    least = {lane: int(fair and lane < LIVE and not held.get(lane)) for lane in LANES}
    return Places(free, lower, most, least)


class _Turn:
    """One decision while it is made: what each lane has had, these grants included."""

    def __init__(self, view: JournalView, books: Books, limits: Limits, waiting: set[int]) -> None:
        now = view.now
        self._view, self._limits, self._waiting = view, limits, waiting
        self._books = books
        live = [call for call in books.calls if call.until > now]
        self._minute = Counter(call.lane for call in live)
        deadline = now + timedelta(seconds=MINUTE_S)  # one that is past it is not under way
        self._flying = Counter(
            call.lane for call in live if call.overload is None and call.until > deadline
        )
        self._day = Counter(books.day)
        self._starts = sorted(call.started for call in books.calls if call.lane < LIVE)
        self._batches: dict[str, list[datetime]] = {}
        for call in sorted(books.calls, key=lambda call: call.started):
            if call.lane == BULK and call.kind:
                self._batches.setdefault(call.kind, []).append(call.started)
        self._frees = sorted(call.until for call in live)
        self._taken = 0

    def take(self, asked: Asked) -> None:
        """This call starts."""
        self._minute[asked.lane] += 1
        self._flying[asked.lane] += 1
        self._day[asked.lane] += 1
        self._taken += 1
        if asked.lane < LIVE:
            self._starts.append(self._view.now)
        if asked.lane == BULK and asked.kind:
            self._batches.setdefault(asked.kind, []).append(self._view.now)

    def hold(self, asked: Asked) -> _Hold | None:
        """Until when this call must leave its place to others, None when it need not."""
        holds = (
            self._day_hold(asked.lane),
            self._minute_hold(asked.lane),
            self._flight_hold(asked.lane),
            self._pace_hold(asked),
        )
        return max((hold for hold in holds if hold is not None), default=None)

    def _least(self, lane: int, limit: int) -> int:
        share = self._limits.shares.least.get(lane, 0.0)
        return max(1, math.floor(share * limit)) if share > 0 and limit > len(LANES) else 0

    def _owed(self, lane: int, limit: int, had: Mapping[int, int]) -> int:
        return max(0, self._least(lane, limit) - had.get(lane, 0))

    def _owed_below(self, lane: int, limit: int, had: Mapping[int, int]) -> int:
        lower = (each for each in self._waiting if each < lane)
        return sum(self._owed(each, limit, had) for each in lower)

    def _minute_hold(self, lane: int) -> _Hold | None:
        limit = self._limits.per_minute
        if limit is None:
            return None
        now = self._view.now
        kept = 0
        if not self._owed(lane, limit, self._minute):
            kept = self._owed_below(lane, limit, self._minute)
            if lane < LIVE:
                kept += min(self._limits.shares.room, limit - 1)
            if self._yields_to(lane):
                return _Hold(now + timedelta(seconds=YIELD_S), "lane")
        free = limit - sum(self._minute.values())
        if free > kept:
            return None
        later = self._frees[kept - free : kept - free + 1]
        return _Hold(later[0] if later else now + timedelta(seconds=YIELD_S), "lane")

    def _yields_to(self, lane: int) -> bool:
        """Whether somebody waits in a higher lane elsewhere: here, those were asked first."""
        if lane >= LIVE:
            return False
        now = self._view.now
        return any(each > lane and until > now for each, until in self._books.waiting.items())

    def _flight_hold(self, lane: int) -> _Hold | None:
        limit, minute = self._limits.in_flight, self._limits.per_minute
        if limit is None or limit < 2:
            return None
        kept = 1 if lane < LIVE else 0
        if minute is not None and lane == LIVE:
            owed = (
                each
                for each in self._waiting
                if each < lane and not self._flying[each] and self._owed(each, minute, self._minute)
            )
            kept = min(sum(1 for _ in owed), limit - 1)
        if limit - sum(self._flying.values()) > kept:
            return None
        return _Hold(self._view.now + timedelta(seconds=YIELD_S), "in flight")

    def _pace_hold(self, asked: Asked) -> _Hold | None:
        if asked.lane >= LIVE:
            return None
        holds: list[_Hold] = []
        if self._limits.per_minute is not None:
            spacing = timedelta(seconds=60.0 / self._limits.per_minute)
            due = self._view.now
            if self._starts:
                due = self._starts[0]
                for start in self._starts:
                    due = max(due, start) + spacing
            if (at := due - (BURST - 1) * spacing) > self._view.now:
                holds.append(_Hold(at, "pace"))
        pace = self._limits.pace
        size, pause_s = pace.batch_of(asked.kind or "")
        if asked.lane == BULK and asked.kind and pause_s > 0:
            starts = self._batches.get(asked.kind, [])
            if (over := batch_over(starts, self._view.now, size, pause_s)) is not None:
                holds.append(_Hold(over, "batch"))
        return max(holds, default=None)

    def _day_hold(self, lane: int) -> _Hold | None:
        limit, view = self._limits.per_day, self._view
        if limit is None or view.day_ends is None:
            return None
        left = limit - view.day_used - self._taken
        begun = self._books.day_began or view.day_ends - timedelta(days=1)
        length_s = max(1.0, (view.day_ends - begun).total_seconds())
        falls = 0.0  # calls kept, per second that the day has still to go
        owed = 0
        if not self._owed(lane, limit, self._day):
            owed = self._owed_below(lane, limit, self._day)
            if lane < LIVE:
                falls += self._limits.shares.day_room * limit / length_s
        if lane < LIVE:
            falls += _foreign_a_second(view, self._books)
        to_go_s = max(0.0, (view.day_ends - view.now).total_seconds())
        if left - math.floor(falls * to_go_s) - owed >= 1:
            return None
        step = max(1, limit // 500)  # not call by call: each is a round of claims for nothing
        spare = max(0, left - owed - step) + 1  # what is kept may be less than this by then
        at = view.day_ends - timedelta(seconds=spare / falls if falls else 0.0)
        return _Hold(max(at, view.now) + timedelta(seconds=POLL_S), "day")


def _foreign_a_second(view: JournalView, books: Books) -> float:
    """How many calls of others a second are to be expected today."""
    if books.day_began is None or not books.foreign:
        return 0.0
    gone_s = (view.now - books.day_began).total_seconds()
    return books.foreign / max(gone_s, FOREIGN_BY)


def _foreign_a_minute(view: JournalView, books: Books) -> int:
    """Places of the minute to keep for others, since there are others: four times their mean."""
    rate = _foreign_a_second(view, books)
    return math.ceil(4 * 60 * rate) + 1 if rate > 0 else 0
