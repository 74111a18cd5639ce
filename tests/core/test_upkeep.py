"""Which jobs are due: missed ones once, failed ones again later, daily ones at their time."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zohosync.core.upkeep import RETRY_MOST_S, Runs, Schedule, due, next_at, pause_s

ZONE = ZoneInfo("Africa/Johannesburg")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOURLY, DAILY = Schedule("health", 3_600.0), Schedule("metrics", 86_400.0, "00:10")


def hours(count: float) -> timedelta:
    return timedelta(hours=count)


def test_a_new_job_runs_at_once_and_one_with_a_time_of_day_at_that_time() -> None:
    new = Runs(noted_at=NOON)
    assert due([HOURLY, DAILY], {"health": new, "metrics": new}, NOON, ZONE) == ["health"]
    assert next_at(DAILY, new, ZONE) == datetime(2026, 3, 1, 22, 10, tzinfo=UTC)


@pytest.mark.parametrize("away", [1.0, 5.5, 240.0])
def test_what_was_missed_runs_once(away: float) -> None:
    before = Runs(NOON, 1, "done", NOON, NOON)
    assert due([HOURLY], {"health": before}, NOON + hours(away), ZONE) == ["health"]
    after = Runs(NOON, 2, "done", NOON + hours(away), NOON + hours(away))
    assert next_at(HOURLY, after, ZONE) == NOON + hours(away + 1)


def test_a_daily_job_keeps_its_time_over_a_change_of_the_clocks() -> None:
    berlin, spring = ZoneInfo("Europe/Berlin"), datetime(2026, 3, 28, 23, 10, tzinfo=UTC)
    following = next_at(DAILY, Runs(NOON, 1, "done", spring, spring), berlin)
    assert following == datetime(2026, 3, 29, 22, 10, tzinfo=UTC)  # 23 hours later
    weekly = Schedule("review", 7 * 86_400.0, "00:10")
    assert next_at(weekly, Runs(NOON, 1, "done", spring, spring), berlin) == following + hours(144)


def test_what_failed_is_tried_again_with_a_pause_that_grows_to_an_hour() -> None:
    assert [pause_s(failures, 86_400.0) for failures in (1, 2, 3, 9, 99)] == [
        60.0, 120.0, 240.0, RETRY_MOST_S, RETRY_MOST_S,
    ]  # fmt: skip
    assert pause_s(99, 30.0) == 30.0
    failed = Runs(NOON, 3, "failed", NOON, NOON + hours(1), failures=2)
    assert next_at(DAILY, failed, ZONE) == NOON + hours(1) + timedelta(seconds=120)


def test_a_run_that_goes_on_is_nobody_elses_and_one_that_was_given_back_is_due() -> None:
    held = Runs(NOON, 1, "running", NOON, held_until=NOON + hours(2), failures=1)
    assert next_at(HOURLY, held, ZONE) == NOON + hours(2)
    silent = Runs(NOON, 1, "running", NOON, held_until=NOON + timedelta(seconds=6), failures=1)
    assert next_at(HOURLY, silent, ZONE) == NOON + timedelta(seconds=60)
    back = Runs(NOON, 1, "given back", NOON)
    assert due([DAILY], {"metrics": back}, NOON, ZONE) == ["metrics"]


@given(
    every_s=st.floats(1.0, 30 * 86_400.0),
    at=st.none() | st.times().map(lambda time: f"{time:%H:%M}"),
    zone=st.sampled_from(["UTC", "Asia/Kathmandu", "America/New_York", "Pacific/Apia"]),
    gap_s=st.floats(0.0, 400 * 86_400.0),
)
def test_one_run_is_enough_whenever_it_comes(
    every_s: float, at: str | None, zone: str, gap_s: float
) -> None:
    """Right after a run that went well nothing is due, and what is next is not beyond two spans."""
    schedule, where = Schedule("job", every_s, at), ZoneInfo(zone)
    began = NOON + timedelta(seconds=gap_s)
    following = next_at(schedule, Runs(NOON, 7, "done", began, began), where)
    assert following > began
    assert following - began <= timedelta(seconds=max(every_s, 86_400.0)) + hours(25)
