"""Which jobs of upkeep are due: what was missed runs once, what failed is tried again later."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

DAY_S = 86_400.0

RETRY_S, RETRY_MOST_S = 60.0, 3_600.0
"""How long after a failure a job is tried again; doubled with each in a row, up to the second."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a job is to run: `every_s` seconds after it began last.

    With `at` (HH:MM), at that time of the organisation's own day, every so many days (`every_s`).
    """

    name: str
    every_s: float
    at: str | None = None


@dataclass(frozen=True, slots=True)
class Runs:
    """What is known of a job's runs: how many have begun, and how the last one stands.

    `state` is new, running, done, failed or given back (its runner was stopped in the middle);
    `failures` are those in a row, one that goes on included.
    """

    noted_at: datetime
    runs: int = 0
    state: str = "new"
    started_at: datetime | None = None
    ended_at: datetime | None = None
    held_until: datetime | None = None
    failures: int = 0


def due(
    schedules: Sequence[Schedule], known: Mapping[str, Runs], now: datetime, zone: ZoneInfo
) -> list[str]:
    """The names of those jobs that are to run now, in their order. Pure."""
    return [
        each.name
        for each in schedules
        if each.name in known and next_at(each, known[each.name], zone) <= now
    ]


def next_at(schedule: Schedule, known: Runs, zone: ZoneInfo) -> datetime:
    """When a job is to run next; an instant that has passed: now, and once.

    A run that goes on is not begun again before its runner has gone silent, and then not at once:
    it may have been what ended the runner.
    """
    began = known.started_at
    if began is None:
        return known.noted_at if schedule.at is None else _at(schedule, known.noted_at, zone)
    if known.state == "given back":
        return began
    pause = timedelta(seconds=pause_s(known.failures, schedule.every_s))
    if known.state == "running":
        return max(known.held_until or began, began + pause)
    if known.state == "failed":
        return (known.ended_at or began) + pause
    if schedule.at is None:
        return began + timedelta(seconds=schedule.every_s)
    return _at(schedule, began + timedelta(seconds=max(0.0, schedule.every_s - DAY_S)), zone)


def pause_s(failures: int, every_s: float) -> float:
    """Seconds until a job is tried again that failed so often in a row."""
    return min(RETRY_S * 2.0 ** min(max(0, failures - 1), 16), RETRY_MOST_S, every_s)


def _at(schedule: Schedule, after: datetime, zone: ZoneInfo) -> datetime:
    """The first time of day `at` in that zone after an instant."""
    assert schedule.at is not None
    hour, minute = (int(part) for part in schedule.at.split(":"))
    day = after.astimezone(zone).date()
    while True:
        found = datetime.combine(day, time(hour, minute), zone).astimezone(UTC)
        if found > after:
            return found
        day += timedelta(days=1)
