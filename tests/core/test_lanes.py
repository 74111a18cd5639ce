"""Whose turn it is: live first, a share for everybody that waits, nothing left unused."""

import heapq
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zohosync.clock import Chance
from zohosync.core.governor import MINUTE_S, JournalView, Limits, Shares, admit
from zohosync.core.lanes import (
    Asked,
    Books,
    Choice,
    Counted,
    Mark,
    choose,
    marks_after,
    places_of,
    within,
)
from zohosync.core.records import BULK, LANES, LIVE, NORMAL, UPKEEP

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LIMITS = Limits(per_minute=100, in_flight=10, per_day=5_000)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def flown(lane: int, count: int, *, ago_s: float = 50.0) -> list[Counted]:
    """Calls that ended a while ago, a third of a second apart."""
    starts = [after(-ago_s + number / 3) for number in range(count)]
    return [Counted(lane, at, at + timedelta(seconds=MINUTE_S), overload=False) for at in starts]


def ask(
    calls: Sequence[Counted], *lanes: int, limits: Limits = LIMITS, books: Books | None = None
) -> Choice:
    books = replace(books or Books(), calls=calls)
    view = JournalView(
        NOW,
        minute_until=[call.until for call in calls],
        flying_until=[call.until for call in calls if call.overload is None],
        day_used=sum(books.day.values()),
        day_ends=after(43_200),
    )
    return choose(view, books, limits, [Asked(lane) for lane in lanes])


def test_live_goes_before_what_asked_earlier() -> None:
    choice = ask([*flown(NORMAL, 79), *flown(BULK, 20)], BULK, NORMAL, LIVE)
    assert choice.places == (2,)


def test_the_last_place_of_the_minute_is_for_live() -> None:
    full = flown(NORMAL, 99)
    assert ask(full, NORMAL).places == ()
    assert ask(full, LIVE).places == (0,)
    assert ask(flown(LIVE, 100), LIVE).places == ()


def test_a_place_in_flight_is_kept_for_live() -> None:
    until = after(10 + MINUTE_S)
    flying = [each._replace(overload=None, until=until) for each in flown(NORMAL, 4)]
    few = replace(LIMITS, in_flight=5)
    assert ask(flying, NORMAL, limits=few).places == ()
    assert ask(flying, LIVE, limits=few).places == (0,)


def test_lower_lanes_start_no_faster_than_places_come_free() -> None:
    assert ask([], *[BULK] * 9).places == (0, 1, 2)
    wait = ask([], *[BULK] * 9).not_before
    assert wait is not None
    assert 0 < (wait - NOW).total_seconds() <= 0.6
    assert len(ask([], *[LIVE] * 5).places) == 5  # who is waited for is not slowed down


def test_a_lower_lane_that_waits_keeps_its_share_of_the_minute_from_live() -> None:
    waiting = Books(waiting={BULK: after(1)})
    assert ask(flown(LIVE, 90), LIVE, books=waiting).places == ()
    assert ask(flown(LIVE, 89), LIVE, books=waiting).places == (0,)
    assert ask(flown(LIVE, 90), LIVE).places == (0,)  # nobody waits: it is anybody's
    had = [*flown(LIVE, 85), *flown(BULK, 10)]
    assert ask(had, LIVE, books=waiting).places == (0,)  # it has had its share


def test_a_lane_gives_way_to_a_higher_one_that_waits_elsewhere_but_for_its_share() -> None:
    waiting = Books(waiting={NORMAL: after(1)})
    assert ask(flown(BULK, 20), BULK, books=waiting).places == ()
    assert ask(flown(BULK, 9), BULK, books=waiting).places == (0,)
    assert ask(flown(BULK, 20), BULK, books=Books(waiting={NORMAL: after(-1)})).places == (0,)


def test_live_has_a_reserve_of_the_day_that_shrinks_to_nothing_by_midnight() -> None:
    def left(used: int, hours_left: float, lane: int) -> Choice:
        view = JournalView(NOW, day_used=used, day_ends=after(hours_left * 3_600))
        day = {BULK: used}
        books = Books(day=day, day_began=after((hours_left - 24) * 3_600))
        return choose(view, books, LIMITS, [Asked(lane)])

    assert left(4_249, 24, BULK).places == (0,)
    spent = left(4_250, 24, BULK)  # 15 % of 5,000 are kept
    assert spent.places == ()
    assert spent.lanes_closed.keys() == {BULK}
    assert 1_000 < (spent.lanes_closed[BULK] - NOW).total_seconds() < 1_200  # ten calls' worth
    assert left(4_250, 24, LIVE).places == (0,)
    assert left(4_624, 12, BULK).places == (0,)
    assert left(4_999, 0.01, BULK).places == (0,)


def test_a_share_kept_back_for_others_is_nobodys() -> None:
    kept = replace(LIMITS, shares=Shares(others=0.1))
    ours = within(JournalView(NOW), Books(), kept)
    assert (ours.per_minute, ours.per_day) == (90, 4_500)


def test_calls_of_others_are_taken_off_the_day_and_expected_to_go_on() -> None:
    books = Books(foreign=400, day_began=after(-43_200), day={BULK: 3_900})
    view = JournalView(NOW, day_used=3_900, day_ends=after(43_200))
    ours = within(view, books, LIMITS)
    assert ours.per_day == 5_000 - 400 - 25
    assert ours.per_minute == 96  # four times what they take, and one
    assert choose(view, books, LIMITS, [Asked(BULK)]).lanes_closed  # 375 live's, 400 theirs
    assert choose(view, books, LIMITS, [Asked(LIVE)]).places == (0,)


def test_overload_means_fewer_in_flight_and_what_is_merely_wrong_teaches_nothing() -> None:
    good = [each._replace(overload=False) for each in flown(NORMAL, 60)]
    bad = [each._replace(overload=True) for each in flown(NORMAL, 60)]
    assert ask(good, LIVE).size == 10
    assert ask(bad, LIVE).size == 1


@dataclass
class Line:
    """A line of calls in virtual time: what waits, what is under way, who was let go when."""

    limits: Limits
    seed: int = 1
    now: float = 0.0
    waiting: list[tuple[float, int]] = field(default_factory=list)
    calls: list[tuple[float, float, int]] = field(default_factory=list)  # start, end, lane
    waits: dict[int, list[float]] = field(default_factory=lambda: {lane: [] for lane in LANES})

    def books(self) -> tuple[JournalView, Books]:
        counted = []
        for start, end, lane in self.calls:
            ended = end <= self.now
            until = after((end if ended else start + 30.0) + MINUTE_S)
            if until > after(self.now):
                counted.append(Counted(lane, after(start), until, False if ended else None))
        flying = [after(start + 30) for start, end, _ in self.calls if end > self.now]
        view = JournalView(after(self.now), [each.until for each in counted], flying)
        return view, Books(counted)

    def run(self, arrivals: list[tuple[float, int]], until_s: float, endless: set[int]) -> None:
        """Let arrivals come; lanes in `endless` always have three calls waiting."""
        chance = Chance(self.seed)
        coming = sorted(arrivals)
        ends: list[float] = []
        ask_at = 0.0
        while self.now < until_s:
            for lane in endless:
                here = sum(1 for _, each in self.waiting if each == lane)
                self.waiting += [(self.now, lane)] * (3 - here)
            soonest = [ask_at if self.waiting else until_s, until_s]
            soonest += [coming[0][0]] if coming else []
            soonest += [ends[0]] if ends else []
            self.now = max(self.now, min(soonest))
            while ends and ends[0] <= self.now:
                heapq.heappop(ends)
                ask_at = self.now
            while coming and coming[0][0] <= self.now:
                self.waiting.append(coming.pop(0))
                ask_at = self.now
            if not self.waiting or ask_at > self.now:
                continue
            self.waiting.sort(key=lambda each: (-each[1], each[0]))
            view, books = self.books()
            choice = choose(view, books, self.limits, [Asked(lane) for _, lane in self.waiting])
            for place in choice.places:
                since, lane = self.waiting[place]
                self.waits[lane].append(self.now - since)
                end = self.now + 0.05 * 40 ** chance.random()
                self.calls.append((self.now, end, lane))
                heapq.heappush(ends, end)
            left = [w for place, w in enumerate(self.waiting) if place not in choice.places]
            self.waiting = left
            told = (choice.not_before - NOW).total_seconds() if choice.not_before else self.now
            ask_at = max(self.now + 0.005, min(told, self.now + 1.0))

    def fullest_minute(self) -> int:
        """By a remote that sees a call anywhere between its start and its end: at its end here."""
        times = sorted(end for _, end, _ in self.calls)
        return max(sum(at <= other < at + 60 for other in times) for at in times)


def steady(per_minute: float, until_s: float) -> list[tuple[float, int]]:
    chance, at, found = Chance(5), 0.0, []
    while (at := at - math.log(1 - chance.random()) * 60 / per_minute) < until_s:
        found.append((at, LIVE))
    return found


def percent(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def test_a_backfill_uses_the_minute_up_and_live_does_not_wait_for_it() -> None:
    line = Line(replace(LIMITS, per_day=None))
    line.run(steady(4, 600), 600, {BULK})
    assert len(line.calls) >= 0.97 * 100 * 10
    assert line.fullest_minute() <= 100
    assert percent(line.waits[LIVE], 0.95) <= 0.7


def test_a_burst_of_forty_in_a_minute_waits_for_seconds_not_for_the_minute() -> None:
    line = Line(replace(LIMITS, per_day=None))
    burst = [(200 + 1.5 * number, LIVE) for number in range(40)]
    line.run([*steady(4, 360), *burst], 360, {BULK})
    assert percent(line.waits[LIVE], 0.95) <= 5
    assert len(line.calls) >= 0.97 * 100 * 6


@pytest.mark.parametrize("per_minute", [20, 100])
def test_under_a_flood_of_live_calls_every_lane_gets_its_share_of_each_minute(
    per_minute: int,
) -> None:
    limits = Limits(per_minute=per_minute, in_flight=5, per_day=None)
    line = Line(limits)
    line.run([], 320, {LIVE, NORMAL, BULK, UPKEEP})
    for begins in range(120, 250, 20):
        lanes = Counter(
            lane for start, _, lane in line.calls if begins <= start < begins + 65
        )  # a place is held 60.25 s from the end
        for lane, share in limits.shares.least.items():
            assert lanes[lane] >= int(share * per_minute), (begins, LANES[lane], lanes)
    assert line.fullest_minute() <= per_minute


LANE = st.sampled_from(list(LANES))
CALL = st.builds(
    lambda lane, ago, took, flying: Counted(
        lane,
        after(-ago),
        after((30 if flying else min(took, ago)) - ago + MINUTE_S),
        None if flying else False,
    ),
    lane=LANE, ago=st.floats(0, 85), took=st.floats(0, 20), flying=st.booleans(),
)  # fmt: skip
MANY_BOOKS = st.builds(
    Books,
    calls=st.lists(CALL, max_size=12),
    day=st.dictionaries(LANE, st.integers(0, 30)),
    day_began=st.just(after(-43_200)),
    waiting=st.dictionaries(LANE, st.floats(-2, 3).map(after)),
    foreign=st.integers(0, 20),
)
SOME = st.builds(
    Limits,
    per_minute=st.none() | st.integers(1, 12),
    in_flight=st.none() | st.integers(1, 6),
    per_day=st.none() | st.integers(1, 120),
    shares=st.builds(Shares, room=st.integers(0, 3), others=st.sampled_from([0.0, 0.2])),
)


def seen(books: Books, now: datetime) -> JournalView:
    counting = [call for call in books.calls if call.until > now]
    return JournalView(
        now,
        minute_until=[call.until for call in counting],
        flying_until=[
            call.until - timedelta(seconds=MINUTE_S) for call in counting if call.overload is None
        ],
        day_used=sum(books.day.values()),
        day_ends=after(43_200),
    )


@given(MANY_BOOKS, SOME, st.lists(LANE, min_size=1, max_size=8))
def test_no_choice_goes_over_any_limit(books: Books, limits: Limits, lanes: list[int]) -> None:
    view = seen(books, NOW)
    choice = choose(view, books, limits, [Asked(lane) for lane in lanes])
    verdict = admit(view, limits, len(lanes))
    assert len(choice.places) <= verdict.granted
    assert set(choice.places) <= set(range(len(lanes)))
    if len(choice.places) < len(lanes):
        left = {lane for place, lane in enumerate(lanes) if place not in choice.places}
        assert choice.not_before is not None or left <= set(choice.lanes_closed)
        assert choice.not_before is None or choice.not_before > NOW
        assert all(until > NOW for until in choice.lanes_closed.values())


@settings(max_examples=200)
@given(MANY_BOOKS, SOME, LANE, st.floats(0, 120))
def test_for_one_that_waits_time_only_makes_room(
    books: Books, limits: Limits, lane: int, wait_s: float
) -> None:
    # Sizes apart: whoever waits long enough knows nothing any more of how the last calls went.
    limits = replace(limits, in_flight=None)
    soon = choose(seen(books, NOW), books, limits, [Asked(lane)])
    late = choose(seen(books, after(wait_s)), books, limits, [Asked(lane)])
    assert len(late.places) >= len(soon.places)


@given(MANY_BOOKS, LANE, st.booleans())
def test_nobody_waits_for_ever(books: Books, lane: int, closed: bool) -> None:
    """Whoever asks again when told to gets a call, though nobody leaves before the deadline."""
    limits = Limits(per_minute=6, in_flight=3, per_day=2_000)
    books = replace(books, waiting={} if closed else books.waiting)
    now = NOW
    for _ in range(400):
        choice = choose(seen(books, now), books, limits, [Asked(lane)])
        if choice.places:
            return
        now = choice.not_before or min(choice.lanes_closed.values())
    raise AssertionError("it asked four hundred times")


def test_who_waits_is_written_down_once_and_taken_off_by_whom_it_was_written() -> None:
    waits = Choice(waiting=frozenset({BULK}), not_before=after(0.4))
    marks = marks_after({}, waits, "w1", NOW)
    assert marks == {BULK: Mark("w1", after(0.9))}
    assert marks_after(marks, waits, "w2", NOW) is None  # it is known
    assert marks_after(marks, Choice(), "w2", NOW) is None  # another one's
    assert marks_after(marks, Choice(), "w1", NOW) == {}
    assert marks_after(marks, Choice(), "w1", after(2)) is None  # it has run out


def test_a_worker_keeps_places_for_live_and_one_for_each_lower_lane() -> None:
    idle = places_of(10, 2, {}, 1_000)
    assert (idle.total, idle.lower) == (10, 8)
    assert idle.most == {LIVE: 10, NORMAL: 8, BULK: 8, UPKEEP: 8}
    assert idle.least == {LIVE: 0, NORMAL: 1, BULK: 1, UPKEEP: 1}
    flooded = places_of(10, 2, {LIVE: 9}, 1_000)
    assert (flooded.total, flooded.lower, flooded.least[BULK]) == (1, 1, 1)
    filled = places_of(10, 2, {BULK: 8}, 1_000)
    assert (filled.total, filled.lower, filled.least[BULK]) == (2, 0, 0)
    assert places_of(10, 2, {}, 3).most[BULK] == 3  # a backfill takes a batch at a time
    alone = places_of(1, 2, {}, 1_000)
    assert (alone.total, alone.lower, sum(alone.least.values())) == (1, 1, 0)


@pytest.mark.parametrize(
    ("shares", "word"),
    [
        (Shares(room=-1), "room"),
        (Shares(day_room=1.5), "day_room"),
        (Shares(others=-0.1), "others"),
        (Shares(least={NORMAL: float("nan")}), "least.5"),
        (Shares(least={NORMAL: 0.6, BULK: 0.3}, others=0.2), "under a tenth"),
    ],
)
def test_an_absurd_share_is_named(shares: Shares, word: str) -> None:
    assert word in shares.faults()[0]
