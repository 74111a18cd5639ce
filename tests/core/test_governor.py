"""How many calls may leave: within every limit at the remote's own clock, no later than needed."""

import heapq
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.builders import NOW, after
from zohosync.core.governor import (
    DAY_SPENT,
    DOWN_AFTER,
    MINUTE_S,
    MISSING_MAX,
    OUTAGE,
    PLANS,
    PROBE_CAP_S,
    Effect,
    JournalView,
    Limits,
    Verdict,
    admit,
    effect_of,
    outage,
    probe_in_s,
    too_many_missing,
)
from zohosync.core.replies import (
    Accepted,
    Closed,
    Found,
    Rejected,
    Reply,
    Throttled,
    Unauthorized,
    Unavailable,
    Unreachable,
    Unusable,
)

LIMITS = Limits(per_minute=5, in_flight=3, per_day=20)
FREE = Limits(per_minute=None, in_flight=None, per_day=None)


def seconds(verdict: Verdict) -> float:
    assert verdict.not_before is not None
    return (verdict.not_before - NOW).total_seconds()


def until(*at_s: float) -> list[datetime]:
    return [after(at) for at in at_s]


def test_what_fits_is_granted_whole_and_without_a_wait() -> None:
    assert admit(JournalView(NOW), LIMITS, 3) == Verdict(3)
    assert admit(JournalView(NOW), FREE, 1_000) == Verdict(1_000)
    assert admit(JournalView(NOW), LIMITS, 0) == Verdict(0)


@pytest.mark.parametrize(
    ("view", "wanted", "granted", "wait_s", "reason"),
    [
        (JournalView(NOW, minute_until=until(9, 4, 7, 5, 30)), 1, 0, 4, "minute"),
        (JournalView(NOW, minute_until=until(9, 4, 7)), 3, 2, 4, "minute"),
        (JournalView(NOW, minute_until=until(9, 4, 7, 5, 30, 31)), 1, 0, 5, "minute"),
        (JournalView(NOW, minute_until=until(-1, -9, 0, 5)), 3, 3, None, None),
        (JournalView(NOW, flying_until=until(20, 8, 9)), 1, 0, 8, "in flight"),
        (JournalView(NOW, flying_until=until(20, 8)), 2, 1, 8, "in flight"),
        (JournalView(NOW), 4, 3, 1, "in flight"),
        (JournalView(NOW, day_used=18, day_ends=after(99)), 3, 2, 99, "day"),
        (
            JournalView(NOW, minute_until=until(4, 5, 6, 7, 8), flying_until=until(20, 9, 10)),
            1, 0, 9, "in flight",
        ),
    ],
)  # fmt: skip
def test_the_rest_waits_until_the_last_of_the_tight_limits_has_a_place_again(
    view: JournalView, wanted: int, granted: int, wait_s: float | None, reason: str | None
) -> None:
    verdict = admit(view, LIMITS, wanted)
    assert (verdict.granted, verdict.reason, verdict.closed) == (granted, reason, False)
    assert verdict.not_before is None if wait_s is None else seconds(verdict) == wait_s


def test_a_limit_per_second_counts_starts_with_a_guard_band() -> None:
    limits = replace(FREE, per_second=2)
    view = JournalView(NOW, second_from=until(-0.5, -0.2, -1.2))
    verdict = admit(view, limits, 1)
    assert (verdict.granted, verdict.reason) == (0, "second")
    assert seconds(verdict) == pytest.approx(0.55)
    assert admit(replace(view, now=after(0.55)), limits, 1).granted == 1


@pytest.mark.parametrize(
    ("view", "until_s", "reason"),
    [
        (
            JournalView(NOW, closed_until=after(600), closed_reason="blocked (44)"),
            600,
            "blocked (44)",
        ),
        (JournalView(NOW, closed_until=after(600)), 600, "closed"),
        (JournalView(NOW, paused="credentials"), PROBE_CAP_S, "credentials"),
        (JournalView(NOW, overloads=DOWN_AFTER), 1, "down"),
        (JournalView(NOW, day_used=20, day_ends=after(3_600)), 3_600, DAY_SPENT),
        (JournalView(NOW, day_used=99, day_ends=after(3_600)), 3_600, DAY_SPENT),
        (JournalView(NOW, day_used=20), MINUTE_S, DAY_SPENT),
    ],
)
def test_where_waiting_is_no_use_records_are_given_back(
    view: JournalView, until_s: float, reason: str
) -> None:
    verdict = admit(view, LIMITS, 2)
    assert (verdict.granted, verdict.closed, verdict.reason) == (0, True, reason)
    assert seconds(verdict) == until_s


def test_a_closing_that_is_over_closes_nothing() -> None:
    assert admit(JournalView(NOW, closed_until=NOW), LIMITS, 1).granted == 1


def test_a_probe_passes_an_outage_one_at_a_time_but_no_pause_and_no_limit() -> None:
    down = JournalView(NOW, overloads=DOWN_AFTER)
    assert admit(down, LIMITS, 1, probe=True).granted == 1
    assert admit(replace(down, flying_until=until(9)), LIMITS, 1, probe=True).closed
    assert admit(replace(down, flying_until=until(-1)), LIMITS, 1, probe=True).granted == 1
    assert admit(replace(down, paused="credentials"), LIMITS, 1, probe=True).granted == 0
    assert admit(replace(down, closed_until=after(9)), LIMITS, 1, probe=True).granted == 0
    assert admit(replace(down, day_used=20), LIMITS, 1, probe=True).granted == 0
    full = replace(down, minute_until=until(1, 2, 3, 4, 5))
    assert admit(full, LIMITS, 1, probe=True).granted == 0


TIMES = st.lists(st.floats(-5, 100).map(after), max_size=8)
VIEWS = st.builds(
    JournalView,
    now=st.just(NOW),
    minute_until=TIMES,
    flying_until=TIMES,
    second_from=st.lists(st.floats(-2, 0).map(after), max_size=8),
    day_used=st.integers(0, 12),
    day_ends=st.none() | st.floats(1, 90_000).map(after),
)
SOME_LIMITS = st.builds(
    Limits,
    per_minute=st.none() | st.integers(-1, 6),
    in_flight=st.none() | st.integers(0, 6),
    per_day=st.none() | st.integers(0, 10),
    per_second=st.none() | st.integers(0, 4),
)


@given(VIEWS, SOME_LIMITS, st.integers(0, 8))
def test_a_verdict_stays_within_every_limit_and_says_when_it_changes(
    view: JournalView, limits: Limits, wanted: int
) -> None:
    verdict = admit(view, limits, wanted)
    assert 0 <= verdict.granted <= wanted
    for limit, taken in (
        (limits.per_minute, sum(at > NOW for at in view.minute_until)),
        (limits.in_flight, sum(at > NOW for at in view.flying_until)),
        (limits.per_day, view.day_used),
    ):
        assert limit is None or verdict.granted == 0 or taken + verdict.granted <= limit
    if verdict.granted < wanted:
        assert verdict.not_before is not None
        assert verdict.not_before > NOW
        assert verdict.reason


@given(VIEWS, SOME_LIMITS, st.integers(1, 8), st.floats(0, 200))
def test_waiting_never_makes_less_room(
    view: JournalView, limits: Limits, wanted: int, wait_s: float
) -> None:
    later = replace(view, now=after(wait_s))
    assert admit(later, limits, wanted).granted >= admit(view, limits, wanted).granted


@given(VIEWS, SOME_LIMITS, st.integers(1, 8))
def test_the_wait_ends_when_there_is_room_and_not_before(
    view: JournalView, limits: Limits, wanted: int
) -> None:
    verdict = admit(view, limits, wanted)
    sound = all(
        limit is None or limit >= 1
        for limit in (limits.per_minute, limits.in_flight, limits.per_second)
    )
    if verdict.granted or not sound or verdict.reason in (DAY_SPENT, None):
        return
    assert verdict.not_before is not None
    # Nobody takes or leaves a place meanwhile: exactly then one more may go (5 ms at the least).
    assert admit(replace(view, now=verdict.not_before), limits, 1).granted == 1
    early = verdict.not_before - timedelta(milliseconds=6)
    if early > NOW:
        assert admit(replace(view, now=early), limits, 1).granted == 0


@dataclass
class Line:
    """Our calls and the remote's count of them: it sees each a while after it started."""

    limits: Limits
    now: float = 0.0
    minute_until: list[float] = field(default_factory=list)
    flying: list[tuple[float, float]] = field(default_factory=list)  # ends, by deadline
    arrivals: list[float] = field(default_factory=list)
    largest_in_flight: int = 0

    def step(self, wanted: int, calls: list[tuple[float, float, bool]]) -> Verdict:
        """Ask for leave; each granted call arrives, and ends or is lost until its deadline."""
        self.flying = [each for each in self.flying if each[0] > self.now]
        view = JournalView(
            now=after(self.now),
            minute_until=until(*self.minute_until),
            flying_until=until(*(deadline for _, deadline in self.flying)),
        )
        verdict = admit(view, self.limits, wanted)
        for arrives_s, takes_s, lost in calls[: verdict.granted]:
            deadline = round(self.now + 30.0, 6)
            ends = deadline if lost else self.now + arrives_s + takes_s
            heapq.heappush(self.arrivals, self.now + arrives_s)
            self.flying.append((ends, deadline))
            self.minute_until.append(ends + MINUTE_S)
        self.largest_in_flight = max(self.largest_in_flight, len(self.flying))
        return verdict

    def fullest_minute(self) -> int:
        times = sorted(self.arrivals)
        return max((sum(at <= other <= at + 60.0 for other in times) for at in times), default=0)


CALLS = st.lists(
    st.tuples(st.floats(0, 20), st.floats(0, 9), st.booleans()), min_size=8, max_size=8
)


@settings(max_examples=50)
@given(
    per_minute=st.integers(1, 6),
    in_flight=st.integers(1, 6),
    trace=st.lists(st.tuples(st.integers(1, 8), st.floats(0, 40), CALLS), max_size=25),
)
def test_the_remote_never_sees_more_than_its_minute_and_its_places(
    per_minute: int, in_flight: int, trace: list[tuple[int, float, Any]]
) -> None:
    line = Line(Limits(per_minute=per_minute, in_flight=in_flight, per_day=None))
    for wanted, gap_s, calls in trace:
        verdict = line.step(wanted, calls)
        line.now = round(line.now + gap_s, 6)  # instants have microseconds
        if verdict.not_before is not None and gap_s > 20:
            line.now = max(line.now, seconds(verdict))  # wait as told
    assert line.fullest_minute() <= per_minute
    assert line.largest_in_flight <= in_flight


def test_a_line_that_waits_as_told_uses_its_minute_up() -> None:
    line = Line(Limits(per_minute=10, in_flight=3, per_day=None))
    while line.now < 600:
        verdict = line.step(5, [(0.1, 0.1, False)] * 5)
        assert verdict.not_before is not None
        line.now = max(line.now + 0.3, min(seconds(verdict), line.now + 1.0))
    assert line.fullest_minute() == 10
    assert len(line.arrivals) >= 95


@pytest.mark.parametrize(
    ("reply", "effect"),
    [
        (Throttled("44", 120.0), (120.0, False)),
        (Throttled("43", None), (1_800.0, False)),
        (Throttled("429", 0.0), (1_800.0, False)),
        (Throttled("44", -5.0), (1_800.0, False)),
        (Throttled("44", float("nan")), (1_800.0, False)),
        (Throttled("44", 1e12), (90_000.0, False)),
        (Throttled("44", float("inf")), (90_000.0, False)),
        (Throttled("45", None), (None, True)),
        (Throttled("45", 7_200.0), (7_200.0, False)),
        (Throttled("45", 0.0), (86_400.0, False)),
        (Throttled("1070", None), (5.0, False)),
        (Throttled("1070", 2.0), (2.0, False)),
        (Throttled("1070", 0.0), (5.0, False)),
    ],
)
def test_a_429_closes_for_as_long_as_can_be_believed(
    reply: Throttled, effect: tuple[float | None, bool]
) -> None:
    told = effect_of(reply, PLANS["premium"])
    assert (told.close_s, told.close_until_midnight) == effect
    assert told.reason
    assert (told.overload, told.healthy) == (False, False)


@pytest.mark.parametrize(
    ("reply", "effect"),
    [
        (Unavailable(502, ""), Effect(overload=True)),
        (Unreachable(sent=False, message=""), Effect(overload=True)),
        (Unreachable(sent=True, message=""), Effect(overload=True)),
        (Accepted("1", {}), Effect(healthy=True)),
        (Found(()), Effect(healthy=True)),
        (Rejected(400, "4", ""), Effect(healthy=True)),
        (Unusable(""), Effect(healthy=True)),
        (Closed("minute", 1.0), Effect()),
    ],
)
def test_an_outage_is_counted_and_ended_by_what_zoho_says_and_by_nothing_else(
    reply: Reply, effect: Effect
) -> None:
    assert effect_of(reply, PLANS["premium"]) == effect


def test_refused_credentials_pause_with_their_reason() -> None:
    effect = effect_of(Unauthorized("invalid_code", "revoked"), PLANS["premium"])
    assert effect.pause == "Zoho refuses our credentials (invalid_code): revoked"


def test_probing_doubles_up_to_five_minutes() -> None:
    waits = [probe_in_s(overloads) for overloads in (0, 5, 6, 7, 8, 9, 10_000)]
    assert waits == [30, 30, 60, 120, 240, 300, 300]
    assert [outage(overloads) for overloads in (0, DOWN_AFTER - 1)] == [Effect()] * 2
    assert outage(DOWN_AFTER + 1) == Effect(close_s=60, reason=OUTAGE)


def test_a_few_lost_links_are_no_alarm_and_five_are() -> None:
    assert too_many_missing(MISSING_MAX - 1) is None
    assert "5 linked records" in (too_many_missing(5) or "")


@pytest.mark.parametrize("name", PLANS)
def test_the_named_plans_have_no_fault(name: str) -> None:
    assert PLANS[name].faults() == []


@pytest.mark.parametrize(
    ("field_name", "value"),
    [
        ("per_minute", 0),
        ("per_minute", -1),
        ("in_flight", 0),
        ("per_day", 1.5),
        ("per_day", float("inf")),
        ("per_second", float("nan")),
        ("mints", 0),
        ("mints", True),
        ("warn_at", 0),
        ("block_s", 0.0),
        ("block_s", -1.0),
        ("block_s", float("nan")),
        ("block_s", 1e9),
    ],
)
def test_an_absurd_limit_is_named(field_name: str, value: Any) -> None:
    limits = replace(LIMITS, **{field_name: value})
    assert [fault.split(" ")[0] for fault in limits.faults()] == [f"limits.{field_name}"]
