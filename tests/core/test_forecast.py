"""When work will be done: never sooner for fewer calls allowed, and by the organisation's days."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zohosync.core.forecast import Standing, arrivals_of, forecast, remaining_s, what_if
from zohosync.core.governor import PLANS, Limits, Shares
from zohosync.core.records import BULK, LIVE, NORMAL, UPKEEP

ZONE = ZoneInfo("Africa/Johannesburg")
MORNING = datetime(2026, 3, 1, 6, tzinfo=UTC)  # eight o'clock there: 16 hours of the day to go
STANDING = Standing(MORNING, ZONE)
PREMIUM = PLANS["premium"]

some_limits = st.builds(
    Limits,
    per_minute=st.none() | st.integers(1, 300),
    in_flight=st.none() | st.integers(1, 20),
    per_day=st.none() | st.integers(1, 30_000),
    per_second=st.none() | st.integers(1, 20),
    shares=st.builds(
        Shares, room=st.integers(0, 3), day_room=st.floats(0, 0.3), others=st.floats(0, 0.4)
    ),
)
some_standing = st.builds(
    Standing,
    now=st.integers(0, 365 * 86_400).map(lambda passed: MORNING + timedelta(seconds=passed)),
    zone=st.sampled_from([ZONE, ZoneInfo("America/New_York"), ZoneInfo("Europe/Berlin")]),
    used=st.dictionaries(st.sampled_from([LIVE, BULK]), st.integers(0, 5_000)),
    foreign_today=st.integers(0, 2_000),
    arrivals=st.dictionaries(st.sampled_from([LIVE, NORMAL, BULK, UPKEEP]), st.floats(0, 3_000)),
    foreign=st.floats(0, 2_000),
    closed_s=st.floats(0, 100_000),
)
some_calls = st.dictionaries(
    st.sampled_from([LIVE, NORMAL, BULK, UPKEEP]), st.integers(0, 20_000), max_size=4
)
FAR = datetime(9999, 1, 1, tzinfo=UTC)


@settings(max_examples=60)
@given(wanted=some_calls, limits=some_limits, standing=some_standing, more=st.integers(0, 5_000))
def test_a_higher_limit_never_takes_longer(
    wanted: dict[int, int], limits: Limits, standing: Standing, more: int
) -> None:
    ends_at = forecast(wanted, limits, standing).ends_at or FAR
    for name in ("per_minute", "in_flight", "per_day", "per_second"):
        limit = getattr(limits, name)
        if limit is not None:
            for value in (limit + more, None):
                raised = replace(limits, **{name: value})  # type: ignore[arg-type]
                assert (forecast(wanted, raised, standing).ends_at or FAR) <= ends_at, name


@settings(max_examples=60)
@given(wanted=some_calls, limits=some_limits, standing=some_standing, more=st.integers(0, 5_000))
def test_more_calls_never_take_less_time_and_lanes_add_up(
    wanted: dict[int, int], limits: Limits, standing: Standing, more: int
) -> None:
    found = forecast(wanted, limits, standing)
    assert found.calls == sum(each.calls for each in found.lanes) == sum(wanted.values())
    ends = [each.ends_at or FAR for each in found.lanes if each.calls]
    assert ends == sorted(ends), "a lane waits for those above it"
    assert all(end >= standing.now for end in ends)
    fuller = {**wanted, BULK: wanted.get(BULK, 0) + more}
    assert (forecast(fuller, limits, standing).ends_at or FAR) >= (found.ends_at or FAR)


@settings(max_examples=60)
@given(wanted=some_calls, limits=some_limits, standing=some_standing, more=st.floats(0, 1_000))
def test_what_comes_meanwhile_never_makes_it_sooner(
    wanted: dict[int, int], limits: Limits, standing: Standing, more: float
) -> None:
    busier = replace(
        standing, arrivals={**standing.arrivals, LIVE: standing.arrivals.get(LIVE, 0.0) + more}
    )
    ends_at = forecast(wanted, limits, standing).ends_at or FAR
    assert (forecast(wanted, limits, busier).ends_at or FAR) >= ends_at - timedelta(seconds=1)


def test_what_fits_into_today_is_held_by_the_minute() -> None:
    found = forecast({BULK: 990}, PREMIUM, STANDING)
    assert (found.days, found.held_by) == (1, "minute")
    assert found.hours is not None
    assert 10 <= found.hours * 60 <= 10.5  # 99 places: one is kept for live


def test_what_does_not_fit_takes_the_days_that_the_limit_says() -> None:
    found = forecast({BULK: 12_000}, PREMIUM, STANDING)
    assert (found.days, found.day_days, found.held_by) == (3, 3, "day")
    assert found.minute_hours == pytest.approx(12_000 / 99 / 60, rel=0.05)
    assert found.ends_at is not None
    assert found.ends_at.date().isoformat() == "2026-03-03"
    assert found.ends_at.utcoffset() == timedelta(hours=2)


def test_what_comes_meanwhile_and_others_take_their_part_of_each_day() -> None:
    busy = replace(STANDING, arrivals={LIVE: 600.0}, foreign=400.0)
    assert forecast({BULK: 12_000}, PREMIUM, STANDING).days == 3
    assert forecast({BULK: 12_400}, PREMIUM, busy).days == 4
    kept = replace(PREMIUM, shares=Shares(others=0.5))
    assert forecast({BULK: 9_990}, kept, STANDING).days == 4


def test_pauses_between_batches_are_part_of_it() -> None:
    guide = PLANS["guide"]
    mixed = replace(STANDING, mix={"customers": 600, "products": 600})
    found = forecast({BULK: 1_200}, guide, mixed)
    assert found.hours is not None
    assert found.hours * 60 == pytest.approx(
        600 / 5 * 5 / 60 + 600 / 5 * 3 / 60 + 1_200 / 119, rel=0.05
    )


def test_the_reserve_for_live_comes_free_towards_midnight() -> None:
    late = replace(
        STANDING, used={LIVE: 3_750, BULK: 500}
    )  # what is left now is kept for live: 750 less a third
    found = forecast({BULK: 500}, PREMIUM, late)
    assert found.ends_at is not None
    assert 14 <= found.ends_at.hour < 24
    assert found.days == 1
    assert forecast({LIVE: 500}, PREMIUM, late).hours == pytest.approx(500 / 100 / 60, rel=0.05)


def test_a_lane_has_its_share_even_of_a_day_that_others_fill() -> None:
    full = replace(STANDING, arrivals={LIVE: 9_000.0})
    found = forecast({BULK: 1_000}, PREMIUM, full)
    assert found.days == 2  # a tenth of 5,000 a day


def test_a_day_of_daylight_saving_is_as_long_as_it_is() -> None:
    zone = ZoneInfo("Europe/Berlin")
    before = Standing(datetime(2026, 3, 28, 23, tzinfo=UTC), zone)  # midnight; the day has 23 hours
    found = forecast({LIVE: 1_001}, PLANS["standard"], before)
    assert found.ends_at is not None
    assert found.ends_at.astimezone(UTC) >= datetime(2026, 3, 29, 22, tzinfo=UTC)
    assert found.ends_at.astimezone(UTC) < datetime(2026, 3, 29, 22, 1, tzinfo=UTC)


def test_what_never_ends_is_said_to_never_end() -> None:
    foreign = replace(STANDING, foreign=6_000.0)
    found = forecast({BULK: 10}, PREMIUM, foreign)
    assert (found.ends_at, found.hours, found.days) == (None, None, None)
    assert found.words == "10 calls: not within three years"


def test_nothing_to_do_takes_no_time() -> None:
    found = forecast({}, PREMIUM, replace(STANDING, closed_s=60.0))
    assert (found.calls, found.days, found.ends_at) == (0, 0, MORNING)
    assert found.words == "no calls"


def test_what_if_names_the_next_plan_more_a_day_and_older_records() -> None:
    standing = replace(STANDING, arrivals={LIVE: 100.0})
    rows = what_if(
        {BULK: 3_000}, PLANS["standard"], standing, plan="standard", older={"since 2026": 2_500}
    )
    assert [(row.change, row.forecast.days) for row in rows] == [
        ("the plan premium", 1),
        ("2,000 calls a day instead of 1,000", 2),
        ("nothing else to do meanwhile", 3),
        ("since 2026", 1),
    ]
    assert what_if({BULK: 1}, PLANS["unlimited"], STANDING, plan="unlimited") == []


def test_arrivals_are_the_journals_days_without_backfills() -> None:
    first_at = MORNING - timedelta(days=3.5)
    rows = [
        {"lane": LIVE, "calls": 70, "first_at": first_at},
        {"lane": NORMAL, "calls": 7, "first_at": MORNING},
        {"lane": BULK, "calls": 9_999, "first_at": MORNING},
    ]
    assert arrivals_of(rows, MORNING) == {LIVE: 20.0, NORMAL: 2.0}
    assert arrivals_of(rows, MORNING, per_day=5) == {LIVE: 5}
    assert arrivals_of([], MORNING) == {}


def test_the_rest_is_foretold_by_the_limits_though_the_first_hundred_went_at_once() -> None:
    burst = remaining_s(4_900, PLANS["guide"], STANDING, done=100, calls=100, open_s=5.0)
    assert burst is not None
    assert burst == pytest.approx(4_900 / 120 * 61, rel=0.05)
    slow = remaining_s(100, PLANS["unlimited"], STANDING, done=100, calls=100, open_s=500.0)
    assert slow == 500.0
    unchanged = remaining_s(4_900, PLANS["guide"], STANDING, done=1_000, calls=0, open_s=1.0)
    assert unchanged is not None
    assert unchanged < 60
