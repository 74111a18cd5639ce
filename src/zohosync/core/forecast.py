"""When work will be done under the limits: lane by lane, by the day, and what would change that.

Theory of operation. Calls are taken for a liquid that flows as fast as the limits let it: as many
a second as the minute leaves free, and of each day what is left of it. What comes meanwhile flows
first; a lane below live leaves live its room in the minute and its reserve of the day, which
shrinks to nothing by midnight, and has its guaranteed share in any case. The days are the
organisation's own, daylight saving included.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from zohosync.core.figures import CALL_S, span_words
from zohosync.core.governor import MINUTE_S, PLANS, Limits
from zohosync.core.records import BULK, LANES, LIVE, NORMAL

HORIZON_DAYS = 1_096
"""What takes longer than three years is said never to end."""

DAY_S = 86_400.0

WINDOW_DAYS = 7
"""How many days back tell what comes in a day."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How the day stands at `now`; `zone` is the organisation's.

    `used` are today's calls of ours by lane, `foreign_today` those of others; `arrivals` the calls
    a day by lane that come while the work goes on, `foreign` those of others a day; for `closed_s`
    seconds nobody calls. `mix` are the calls of a backfill by kind, where batches have pauses.
    """

    now: datetime
    zone: tzinfo
    used: Mapping[int, int] = field(default_factory=dict)
    foreign_today: int = 0
    arrivals: Mapping[int, float] = field(default_factory=dict)
    foreign: float = 0.0
    closed_s: float = 0.0
    mix: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LaneForecast:
    """A lane: calls wanted now, calls a day that come meanwhile, when what is wanted is done."""

    lane: int
    calls: int
    arrivals: float
    ends_at: datetime | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """When it is done: `ends_at` None is beyond three years; `days` of the organisation it touches.

    `minute_hours` is what it took were there no limit of the day, `day_days` were there no other.
    """

    calls: int
    began_at: datetime
    ends_at: datetime | None
    days: int | None
    minute_hours: float
    day_days: int | None
    lanes: tuple[LaneForecast, ...]

    @property
    def hours(self) -> float | None:
        """From now to the end, nights and what is closed included."""
        if self.ends_at is None:
            return None
        return (self.ends_at - self.began_at).total_seconds() / 3_600

    @property
    def held_by(self) -> str:
        """The limit that decides."""
        return "day" if self.days is None or self.days > 1 else "minute"

    @property
    def words(self) -> str:
        """For people: `12,000 calls, about 2.4 days, until 2026-11-25 03:10`."""
        noun = "call" if self.calls == 1 else "calls"
        if self.ends_at is None or self.hours is None:
            return f"{self.calls:,} {noun}: not within three years"
        if not self.calls:
            return "no calls"
        span = span_words(self.hours * 3_600)
        return f"{self.calls:,} {noun}, {span}, until {self.ends_at:%Y-%m-%d %H:%M}"


def forecast(wanted: Mapping[int, int], limits: Limits, standing: Standing) -> Forecast:
    """When `wanted` calls, by lane, are done; a lane waits for what is wanted of those above it."""
    lanes, above, end = [], 0, _End(standing.now, 0)
    last = LIVE
    for lane in sorted({*LANES, *wanted}, reverse=True):
        calls = max(0, wanted.get(lane, 0))
        above += calls
        if calls:
            last, end = lane, _end_of(above, lane, limits, standing)
        ends_at = _local(end.at if calls else standing.now, standing)
        lanes.append(LaneForecast(lane, calls, standing.arrivals.get(lane, 0.0), ends_at))
    day_alone = replace(limits, per_minute=None, in_flight=None, per_second=None, gap_s=0.0)
    days_alone = _end_of(above, last, day_alone, replace(standing, closed_s=0.0)).days
    return Forecast(
        calls=above,
        began_at=standing.now,
        ends_at=_local(end.at, standing),
        days=end.days if above else 0,
        minute_hours=above / _rate(last, limits, standing) / 3_600,
        day_days=days_alone if above else 0,
        lanes=tuple(lanes),
    )


@dataclass(frozen=True, slots=True)
class WhatIf:
    """A change that could be made, and the forecast with it."""

    change: str
    forecast: Forecast


def what_if(
    wanted: Mapping[int, int],
    limits: Limits,
    standing: Standing,
    *,
    plan: str,
    older: Mapping[str, int] | None = None,
) -> list[WhatIf]:
    """What the next plan, twice the day's limit, or leaving out old records would do.

    `older` says of each way to leave out records how many calls of the backfill it saves.
    """
    rows = []
    if plan == "standard":  # the plans that Zoho sells, by their published limits
        more = PLANS["premium"]
        bigger = replace(
            limits, per_minute=more.per_minute, in_flight=more.in_flight, per_day=more.per_day
        )
        rows.append(WhatIf("the plan premium", forecast(wanted, bigger, standing)))
    if limits.per_day is not None:
        twice = replace(limits, per_day=limits.per_day * 2)
        words = f"{limits.per_day * 2:,} calls a day instead of {limits.per_day:,}"
        rows.append(WhatIf(words, forecast(wanted, twice, standing)))
    if any(standing.arrivals.values()):
        alone = forecast(wanted, limits, replace(standing, arrivals={}))
        rows.append(WhatIf("nothing else to do meanwhile", alone))
    for words, calls in (older or {}).items():
        fewer = {**wanted, BULK: max(0, wanted.get(BULK, 0) - calls)}
        rows.append(WhatIf(words, forecast(fewer, limits, standing)))
    return rows


def arrivals_of(
    calls: Sequence[Mapping[str, Any]], now: datetime, *, per_day: float | None = None
) -> dict[int, float]:
    """Calls a day that come by themselves, from the journal's last WINDOW_DAYS.

    Backfills are left out: they were asked for. `per_day` is the user's own figure for live.
    """
    if per_day is not None:
        return {LIVE: per_day}
    first = min((row["first_at"] for row in calls), default=now)
    days = min(float(WINDOW_DAYS), max(1.0, (now - first).total_seconds() / DAY_S))
    found = {LIVE: 0.0, NORMAL: 0.0}
    for row in calls:
        if row["lane"] in found:
            found[row["lane"]] += row["calls"] / days
    return {lane: round(rate, 1) for lane, rate in found.items() if rate}


def remaining_s(
    left: int, limits: Limits, standing: Standing, *, done: int, calls: int, open_s: float
) -> float | None:
    """Seconds until `left` records are done, honestly: by the limits, and by the pace so far.

    `calls` were spent on `done` records in `open_s` seconds in which one could call; a record of
    which nothing is known yet is taken for one call. None where it does not end.
    """
    each = (calls + 10) / (done + 10)
    foreseen = forecast({BULK: round(left * each)}, limits, standing)
    if foreseen.hours is None:
        return None
    pace_s = left * open_s / done + standing.closed_s if done and open_s > 0 else 0.0
    return max(foreseen.hours * 3_600, pace_s)


def _rate(lane: int, limits: Limits, standing: Standing) -> float:
    """Calls a second that flow in this lane and those above it while the day is not spent."""
    shares, rates = limits.shares, [float("inf")]
    if limits.per_minute:
        comes = sum(standing.arrivals.values()) / 1_440
        room = shares.room if lane < LIVE else 0
        free = limits.per_minute * (1 - shares.others) - room - comes
        least = max(1.0, _least(lane, limits, limits.per_minute))
        rates.append(max(least, free) / (MINUTE_S + CALL_S))
    if limits.in_flight:
        kept = 1 if lane < LIVE and limits.in_flight > 1 else 0
        rates.append((limits.in_flight - kept) / CALL_S)
    if limits.per_second:
        rates.append(float(limits.per_second))
    if limits.gap_s:
        rates.append(1.0 / limits.gap_s)
    rate, calls = min(rates), sum(standing.mix.values())
    if lane > BULK or not calls:
        return rate
    pauses_s = sum(_pauses_s(kind, wanted, limits) for kind, wanted in standing.mix.items())
    return calls / (calls / rate + pauses_s) if pauses_s else rate


def _pauses_s(kind: str, calls: int, limits: Limits) -> float:
    """How long the pauses of a kind's batches are together."""
    size, pause_s = limits.pace.batch_of(kind)
    return calls * pause_s / size


def _least(lane: int, limits: Limits, limit: int, used: Mapping[int, int] | None = None) -> float:
    """What of a limit this lane and those above it still have in any case."""
    shares = limits.shares.least.items()
    left = [share * limit - (used or {}).get(each, 0) for each, share in shares if each <= lane]
    return max(0.0, *left) if left else 0.0


@dataclass(frozen=True, slots=True)
class _End:
    """When calls are made, and the how manieth day that is; None beyond the horizon."""

    at: datetime | None
    days: int | None


def _end_of(calls: int, lane: int, limits: Limits, standing: Standing) -> _End:
    """When so many calls of this lane and those above it are made."""
    rate, left = _rate(lane, limits, standing), float(calls)
    at = standing.now + timedelta(seconds=standing.closed_s)
    today = standing.now.astimezone(standing.zone).date()
    for _ in range(HORIZON_DAYS):
        began, ends = _day(at, standing.zone)
        passed = (at.astimezone(standing.zone).date() - today).days
        flow = _flow(limits, lane, standing, (began, at, ends), today=not passed)
        to_go_s = (ends - at).total_seconds()
        needs_s = flow.needs_s(left, rate)
        if needs_s is not None and needs_s <= to_go_s:
            return _End(at + timedelta(seconds=needs_s), passed + 1)
        left -= min(flow.most, rate * to_go_s)
        at = ends
    return _End(None, None)


@dataclass(frozen=True, slots=True)
class _Flow:
    """What of a day may be used from now on: `at_once`, `a_second` more of it, `most` in all."""

    at_once: float
    a_second: float
    most: float

    def needs_s(self, calls: float, rate: float) -> float | None:
        """Seconds until so many calls are made, None where the day is spent before."""
        if calls > self.most:
            return None
        dripping = max(0.0, calls - self.at_once)
        return max(calls / rate, dripping / self.a_second if dripping else 0.0)


def _flow(
    limits: Limits,
    lane: int,
    standing: Standing,
    day: tuple[datetime, datetime, datetime],
    *,
    today: bool,
) -> _Flow:
    """The part of a day (its beginning, now, its end) that is this lane's."""
    per_day, shares = limits.per_day, limits.shares
    if per_day is None:
        return _Flow(float("inf"), 0.0, float("inf"))
    began, at, ends = day
    length_s, to_go_s = (ends - began).total_seconds(), (ends - at).total_seconds()
    others = max(shares.others * per_day, standing.foreign)
    used: Mapping[int, int] = standing.used if today else {}
    taken = max(others, standing.foreign_today) if today else others
    left = max(0.0, per_day - taken - sum(used.values()))
    comes = sum(
        rate if each >= lane else min(rate, shares.least.get(each, 0.0) * per_day)
        for each, rate in standing.arrivals.items()
    )
    kept_s = shares.day_room * per_day / length_s if lane < LIVE else 0.0
    at_midnight = left - comes * to_go_s / DAY_S
    least = min(left, _least(lane, limits, per_day, used))
    most = max(least, at_midnight)
    at_once = max(least, min(at_midnight, left - kept_s * to_go_s))
    return _Flow(at_once, (most - at_once) / to_go_s, most)


def _local(at: datetime | None, standing: Standing) -> datetime | None:
    return None if at is None else at.astimezone(standing.zone)


def _day(at: datetime, zone: tzinfo) -> tuple[datetime, datetime]:
    """The organisation's day of an instant: its midnight and the next one."""
    local = at.astimezone(zone)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    following = (midnight + timedelta(days=1)).replace(fold=0)
    return midnight.astimezone(UTC), following.astimezone(UTC)
