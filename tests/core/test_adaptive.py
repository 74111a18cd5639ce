"""Sizes that learn from overload, and the guide's batches: each call exactly once."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zohosync.core.adaptive import Pace, batch_over, size_after
from zohosync.core.governor import PLANS

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PACE = Pace()


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_the_size_begins_at_five_and_grows_to_ten_while_all_goes_well() -> None:
    assert size_after([], PACE) == 5
    assert size_after([False] * 5, PACE) == 6
    assert size_after([False] * 11, PACE) == 7
    assert size_after([False] * 500, PACE) == 10


def test_the_first_batch_is_taken_as_it_is_so_a_bad_start_shrinks_at_once() -> None:
    assert size_after([True] * 5, PACE) == 4
    assert size_after([True, True, False, False, False], PACE) == 4  # 0.4 is over 0.3
    assert size_after([True, False, False, False, False], PACE) == 5  # 0.2 is between
    assert size_after([True] * 500, PACE) == 1


def test_one_bad_batch_after_good_ones_is_averaged_in() -> None:
    good = [False] * 5  # the rate is 0, the size 6
    assert size_after([*good, *[True] * 6], PACE) == 6  # 0.7 * 0 + 0.3 * 1 is not over 0.3
    assert size_after([*good, *[True] * 12], PACE) == 5


@given(st.lists(st.booleans(), max_size=200))
def test_the_size_never_leaves_its_bounds(ends: list[bool]) -> None:
    assert PACE.least <= size_after(ends, PACE) <= PACE.most


def test_a_batch_is_over_after_its_size_until_its_pause_is() -> None:
    three = [after(0), after(1), after(2)]
    assert batch_over(three, after(2.5), 5, 4.0) is None  # room for two more
    assert batch_over(three, after(2.5), 3, 4.0) == after(6)
    assert batch_over(three, after(6), 3, 4.0) is None
    assert batch_over([*three, after(7)], after(7.5), 3, 4.0) is None  # a new one has begun
    assert batch_over([], NOW, 3, 4.0) is None


@given(
    gaps=st.lists(st.floats(0, 9), min_size=1, max_size=40),
    size=st.integers(1, 8),
    pause_s=st.floats(0.5, 9),
)
def test_who_waits_as_told_never_starts_more_than_a_batch_without_its_pause(
    gaps: list[float], size: int, pause_s: float
) -> None:
    starts: list[datetime] = []
    now = NOW
    for gap in gaps:
        now += timedelta(seconds=gap)
        now = max(now, batch_over(starts, now, size, pause_s) or now)
        assert batch_over(starts, now, size, pause_s) is None
        starts.append(now)
    runs = [1]
    for before, later in pairwise(starts):
        runs.append(1 if later - before >= timedelta(seconds=pause_s) else runs[-1] + 1)
    assert max(runs) <= size


def test_the_guides_batches_are_in_its_plan_and_in_no_other() -> None:
    guide = PLANS["guide"].pace
    assert guide.sizes == {"customers": 5, "subscriptions": 5, "invoices": 10, "payments": 10}
    assert guide.pauses_s == {"customers": 5, "subscriptions": 3, "invoices": 2, "payments": 2}
    assert not any(PLANS[name].pace.pauses_s for name in PLANS if name != "guide")


@pytest.mark.parametrize(
    ("pace", "word"),
    [
        (Pace(least=0), "least"),
        (Pace(start=11), "most"),
        (Pace(old=1.0), "old"),
        (Pace(grow_under=0.5), "grow_under"),
        (Pace(sizes={"customers": 0}), "sizes.customers"),
        (Pace(pauses_s={"customers": 61}), "pauses_s.customers"),
    ],
)
def test_an_absurd_pace_is_named(pace: Pace, word: str) -> None:
    assert word in pace.faults()[0]
