"""Key figures of closed days: what a period comes to, against which target, and what it asks for.

Theory of operation. A day is rolled up once (store/queries/measure_day.sql) into key figures and
what they are made of; a period is added up from its days, never averaged over their ratios. Where
nothing happened a ratio is None, which meets no target and misses none.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from zohosync.core.sections import Targets

ALL = "all"
"""The entity type of what is true of all kinds together."""

STALE_AFTER = timedelta(days=7)
"""Out of step for longer than this is stale."""

STEPS_A_DECADE = 20
"""How finely lengths of time are kept: steps of a twentieth of a decade, which are 12 % apart."""

LENGTHS = {"day": 1, "week": 7, "quarter": 91}
"""Days of a period by its name; a quarter is 13 weeks, so that weekends weigh the same in each."""

BARS = "▁▂▃▄▅▆▇█"
GAP = "·"
NOTHING = "-"
"""Shown where there was nothing to measure."""

MOVES_PERCENT = Decimal(1)
"""A change smaller than that is no trend."""


@dataclass(frozen=True, slots=True)
class Kpi:
    """A key figure: how its days add up, how it is told, and which way is better.

    `over` names what of the metadata is divided by what; without it days are added up, or with
    `most` the highest one counts. `per_days` is the time that its target is for.
    """

    name: str
    title: str
    unit: str = ""
    over: tuple[str, str] | None = None
    most: bool = False
    target: str | None = None
    per_days: int | None = None
    better: str = "low"
    percentile: Decimal | None = None


KPIS = (
    Kpi("success_rate", "success rate", "%", ("success", "total"), target="success_rate",
        better="high"),
    Kpi("avg_sync_time", "average sync time", "ms", ("total_ms", "syncs"),
        target="average_sync_time_ms"),
    Kpi("p50_sync_time", "half of them within", "ms", percentile=Decimal("0.5")),
    Kpi("p95_sync_time", "95 % of them within", "ms", percentile=Decimal("0.95")),
    Kpi("avg_attempts", "attempts per record", "", ("attempts", "syncs"),
        target="average_attempts"),
    Kpi("failed_syncs", "failed", target="failed_per_day", per_days=1),
    Kpi("rate_limit_hits", "rate limit hits", target="rate_limit_hits_per_week", per_days=7),
    Kpi("stale_syncs", "stale (> 7 days)", most=True, target="stale_per_week"),
    Kpi("api_calls", "calls", better="neither"),
    Kpi("calls_per_record", "calls per record", "", ("calls", "records")),
    Kpi("calls_saved", "calls saved", better="high"),
)  # fmt: skip
"""Every key figure, in the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class Period:
    """Some days of the organisation's own, both ends included."""

    name: str
    first: date
    last: date

    @property
    def days(self) -> list[date]:
        """Its days, the first one first."""
        count = (self.last - self.first).days + 1
        return [self.first + timedelta(days=number) for number in range(count)]

    @property
    def before(self) -> "Period":
        """The one that it is compared with: the month before a month, else as many days."""
        last = self.first - timedelta(days=1)
        if self.name == "month":
            return Period(self.name, last.replace(day=1), last)
        return Period(self.name, last - (self.last - self.first), last)

    @property
    def words(self) -> str:
        """For people."""
        days = len(self.days)
        if days == 1:
            return f"{self.first}"
        return f"{self.first} to {self.last} ({days} days)"


def period_of(name: str, last: date) -> Period:
    """The day, week or quarter that ends with that day."""
    return Period(name, last - timedelta(days=LENGTHS[name] - 1), last)


def month_period(month: str) -> Period:
    """A month as it is written: 2026-10."""
    first = date.fromisoformat(f"{month}-01")
    following = (first + timedelta(days=31)).replace(day=1)
    return Period("month", first, following - timedelta(days=1))


def day_bounds(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """When a day of that zone begins and ends, in UTC: 23, 24 or 25 hours apart."""
    began, ended = (
        datetime(each.year, each.month, each.day, tzinfo=zone).astimezone(UTC)
        for each in (day, day + timedelta(days=1))
    )
    return began, ended


@dataclass(frozen=True, slots=True)
class Figure:
    """What a key figure comes to in a period; `series` is by day, None where nothing is known."""

    kpi: Kpi
    value: Decimal | None
    target: Decimal | None
    met: bool | None
    before: Decimal | None
    trend: str
    series: tuple[Decimal | None, ...]
    at_least: bool = False

    @property
    def shown(self) -> str:
        """The value for people."""
        return ("≥ " if self.at_least and self.value is not None else "") + worded(
            self.kpi, self.value
        )

    @property
    def aim(self) -> str:
        """The target for people, empty where there is none."""
        if self.target is None:
            return ""
        sign = "≥" if self.kpi.better == "high" else "≤"
        spans = {None: "", 1: " a day", 7: " a week"}
        return f"{sign} {worded(self.kpi, self.target)}{spans[self.kpi.per_days]}"

    @property
    def change(self) -> str:
        """The trend for people: an arrow, and what it was before."""
        if not self.trend:
            return ""
        arrows = {"up": "↑", "down": "↓", "same": "→"}
        return f"{arrows[self.trend]} from {worded(self.kpi, self.before)}"

    @property
    def turn(self) -> str:
        """Whether that is `better` or `worse`; empty where it is neither."""
        if self.trend in ("", "same") or self.kpi.better == "neither":
            return ""
        return "better" if (self.trend == "up") == (self.kpi.better == "high") else "worse"


Rows = Sequence[Mapping[str, Any]]
"""Rows of zohosync.sync_metrics."""

Days = Mapping[date, Mapping[str, Mapping[str, Any]]]
"""The rows of one entity type, by day and key figure."""


def figures_of(
    rows: Rows, period: Period, targets: Targets, *, entity: str = ALL
) -> tuple[Figure, ...]:
    """Every key figure of the period, beside the period before; `rows` hold both."""
    by_day: dict[date, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    for row in rows:
        if row["entity_type"] == entity:
            by_day[row["metric_date"]][row["metric_type"]] = row
    return tuple(_figure(kpi, by_day, period, targets) for kpi in KPIS)


def entities_of(rows: Rows, period: Period) -> list[str]:
    """The kinds for which anything happened in the period, by name."""
    days = set(period.days)
    return sorted(
        {
            row["entity_type"]
            for row in rows
            if row["metric_date"] in days and row["metric_value"] and row["entity_type"] != ALL
        }
    )


def known_days(rows: Rows, period: Period) -> int:
    """Of how many days of the period there are figures."""
    return len({row["metric_date"] for row in rows} & set(period.days))


def _figure(kpi: Kpi, by_day: Days, period: Period, targets: Targets) -> Figure:
    now, before = _known(by_day, period.days), _known(by_day, period.before.days)
    value, was = _sum(kpi, now), _sum(kpi, before)
    target = None if kpi.target is None else Decimal(str(getattr(targets, kpi.target)))
    met = None
    if value is not None and target is not None:
        held = _held(kpi, value, len(now))
        met = held >= target if kpi.better == "high" else held <= target
    at_least = any(
        day[kpi.name]["metadata"].get("at_least") for day in now.values() if kpi.name in day
    )
    if at_least and met:
        met = None  # it may be more
    series = tuple(_sum(kpi, _known(by_day, [day])) for day in period.days)
    trend = _trend(_pace(kpi, value, len(now)), _pace(kpi, was, len(before)))
    return Figure(kpi, value, target, met, was, trend, series, at_least)


def _known(by_day: Days, days: Iterable[date]) -> Days:
    return {day: by_day[day] for day in days if day in by_day}


def _sum(kpi: Kpi, days: Days) -> Decimal | None:
    """What a key figure comes to over some days; None where that says nothing."""
    rows = [day[kpi.name] for day in days.values() if kpi.name in day]
    if not rows:
        return None
    if kpi.percentile is not None:
        if len(rows) == 1:
            return Decimal(rows[0]["metric_value"]) if _spans(days) else None
        return percentile(_spans(days), kpi.percentile)
    if kpi.over is None:
        values = [Decimal(row["metric_value"]) for row in rows]
        return max(values) if kpi.most else sum(values, Decimal(0))
    part, whole = (sum(Decimal(row["metadata"].get(name, 0)) for row in rows) for name in kpi.over)
    if not whole:
        return None
    return part / whole * (100 if kpi.unit == "%" else 1)


def _spans(days: Days) -> Counter[int]:
    """How many syncs took up to which step of time, over some days."""
    spans: Counter[int] = Counter()
    for day in days.values():
        if row := day.get("avg_sync_time"):
            spans.update({int(k): int(n) for k, n in row["metadata"].get("spans", {}).items()})
    return spans


def percentile(spans: Mapping[int, int], part: Decimal) -> Decimal | None:
    """About the time that so large a part of the syncs took at the most: up to 12 % too long."""
    total, upto = sum(spans.values()), 0
    for step in sorted(spans):
        upto += spans[step]
        if upto >= part * total:
            return Decimal(round(10 ** (step / STEPS_A_DECADE)))
    return None


def _held(kpi: Kpi, value: Decimal, days: int) -> Decimal:
    """The value as its target counts: a day, a week; a shorter time is held against all of it."""
    if kpi.per_days is None or days <= kpi.per_days:
        return value
    return value * kpi.per_days / days


def _pace(kpi: Kpi, value: Decimal | None, days: int) -> Decimal | None:
    """What two periods are compared by: sums a day, since days may be lacking in one of them."""
    adds_up = kpi.over is None and kpi.percentile is None and not kpi.most
    return value / days if adds_up and value is not None and days else value


def _trend(value: Decimal | None, before: Decimal | None) -> str:
    if value is None or before is None:
        return ""
    if abs(value - before) * 100 <= MOVES_PERCENT * abs(before):
        return "same"
    return "up" if value > before else "down"


def worded(kpi: Kpi, value: Decimal | None) -> str:
    """A value of a key figure for people: a dash where there was nothing to measure."""
    if value is None:
        return NOTHING
    if kpi.unit == "%":
        return f"{_rounded(value, 2, ROUND_DOWN)} %"  # 97.999 is not 98
    if kpi.unit == "ms":
        return f"{_rounded(value, 0):,} ms"
    return f"{_rounded(value, 2) if kpi.over else value.quantize(Decimal(1)):,}"


def _rounded(value: Decimal, digits: int, how: str = ROUND_HALF_UP) -> Decimal:
    rounded = value.quantize(Decimal(1).scaleb(-digits), how)
    return rounded.normalize() + 0 if rounded == rounded.to_integral() and digits else rounded


def sparkline(values: Sequence[Decimal | None], *, width: int = 31) -> str:
    """The course of some values in a line of bars, a dot where nothing is known.

    More than `width` values are put together, as their averages.
    """
    columns = -(-len(values) // width) if values else 1
    parts = [values[start : start + columns] for start in range(0, len(values), columns)]
    means = [_mean([value for value in part if value is not None]) for part in parts]
    known = [mean for mean in means if mean is not None]
    low, high = min(known, default=Decimal(0)), max(known, default=Decimal(0))
    if not low < high:
        return "".join(GAP if mean is None else BARS[3 if high else 0] for mean in means)
    top = len(BARS) - 1
    return "".join(
        GAP if mean is None else BARS[int((mean - low) / (high - low) * top)] for mean in means
    )


def _mean(values: Sequence[Decimal]) -> Decimal | None:
    return sum(values, Decimal(0)) / len(values) if values else None
