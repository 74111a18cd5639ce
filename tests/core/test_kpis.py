"""Key figures: days add up, targets are met or missed, and a checklist is answered."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zohosync.core.kpis import (
    BARS,
    GAP,
    KPIS,
    Figure,
    Period,
    day_bounds,
    entities_of,
    figures_of,
    month_period,
    percentile,
    period_of,
    sparkline,
)
from zohosync.core.review import DayUse, review
from zohosync.core.sections import Targets

DAY = date(2026, 11, 22)
WEEK = period_of("week", DAY)


def row(day: date, name: str, value: Any, entity: str = "all", **metadata: Any) -> dict[str, Any]:
    return {
        "metric_date": day, "metric_type": name, "entity_type": entity,
        "metric_value": Decimal(value), "metadata": metadata,
    }  # fmt: skip


def rate(day: date, good: int, total: int, entity: str = "all") -> dict[str, Any]:
    value = Decimal(100 * good) / total if total else 0
    return row(day, "success_rate", value, entity, success=good, total=total)


def named(rows: Iterable[dict[str, Any]], period: Period = WEEK) -> dict[str, Figure]:
    figures = figures_of(list(rows), period, Targets())
    assert [figure.kpi for figure in figures] == list(KPIS)
    return {figure.kpi.name: figure for figure in figures}


def test_a_period_adds_its_days_up_and_does_not_average_their_rates() -> None:
    busy, quiet = rate(DAY, 990, 1_000), rate(DAY - timedelta(days=1), 0, 1)
    found = named([busy, quiet])["success_rate"]
    assert found.value == Decimal(100 * 990) / 1_001
    assert (found.met, found.shown, found.aim) == (True, "98.90 %", "≥ 98 %")


def test_a_rate_just_below_its_target_is_not_shown_as_the_target() -> None:
    found = named([rate(DAY, 97_999, 100_000)])["success_rate"]
    assert (found.met, found.shown) == (False, "97.99 %")


def test_where_nothing_happened_no_target_is_missed() -> None:
    found = named([rate(DAY, 0, 0), row(DAY, "failed_syncs", 0)])
    assert (found["success_rate"].met, found["success_rate"].shown) == (None, "-")
    assert (found["failed_syncs"].met, found["failed_syncs"].shown) == (True, "0")
    assert found["avg_attempts"].value is None, "nothing is known of it"


@pytest.mark.parametrize(
    ("name", "each_day", "days", "met"),
    [
        ("failed_syncs", 5, 7, True),  # 35 in a week is 5 a day
        ("failed_syncs", 6, 7, False),
        ("rate_limit_hits", 0, 7, True),
        ("rate_limit_hits", 1, 1, False),
        ("stale_syncs", 1, 7, False),
    ],
)
def test_a_target_counts_for_its_own_time(name: str, each_day: int, days: int, met: bool) -> None:
    rows = [row(DAY - timedelta(days=back), name, each_day) for back in range(days)]
    assert named(rows, Period("x", rows[-1]["metric_date"], DAY))[name].met is met


def test_what_is_stale_is_not_added_up_from_day_to_day() -> None:
    rows = [
        row(DAY, "stale_syncs", 2, at_least=False),
        row(WEEK.first, "stale_syncs", 3, at_least=True),
    ]
    assert named(rows)["stale_syncs"].shown == "≥ 3"
    late = named([row(DAY, "stale_syncs", 0, at_least=True)])["stale_syncs"]
    assert (late.shown, late.met) == ("≥ 0", None), "it may be more"


def test_the_trend_is_against_the_period_before_and_says_which_way_is_better() -> None:
    before = WEEK.before.last
    found = named([rate(DAY, 99, 100), rate(before, 90, 100)])["success_rate"]
    assert (found.trend, found.turn, found.change) == ("up", "better", "↑ from 90 %")
    worse = named([row(DAY, "failed_syncs", 9), row(before, "failed_syncs", 3)])["failed_syncs"]
    assert (worse.trend, worse.turn) == ("up", "worse")
    half = [row(before - timedelta(days=back), "api_calls", 10) for back in range(4)]
    whole = [row(DAY - timedelta(days=back), "api_calls", 10) for back in range(7)]
    assert named([*half, *whole])["api_calls"].trend == "same", "days that lack are no trend"
    assert not named([rate(DAY, 1, 1)])["success_rate"].change


@pytest.mark.parametrize("name", ["day", "week", "quarter"])
def test_a_period_and_the_one_before_are_as_long_and_touch(name: str) -> None:
    period = period_of(name, DAY)
    assert period.last == DAY
    assert len(period.days) == len(period.before.days)
    assert period.before.last + timedelta(days=1) == period.first


def test_before_a_month_is_the_month_before() -> None:
    march = month_period("2026-03")
    assert (march.first, march.last) == (date(2026, 3, 1), date(2026, 3, 31))
    assert (march.before.first, march.before.last) == (date(2026, 2, 1), date(2026, 2, 28))
    assert month_period("2026-12").last == date(2026, 12, 31)


@given(st.dates(date(1971, 1, 1), date(2100, 1, 1)), st.sampled_from(
    ["UTC", "Africa/Johannesburg", "America/New_York", "America/Havana", "Australia/Lord_Howe"]
))  # fmt: skip
def test_days_follow_each_other_without_a_gap(day: date, name: str) -> None:
    zone = ZoneInfo(name)
    began, ended = day_bounds(day, zone)
    assert ended == day_bounds(day + timedelta(days=1), zone)[0]
    assert timedelta(hours=22) < ended - began < timedelta(hours=26)
    assert (ended - timedelta(seconds=1)).astimezone(zone).date() == day
    assert began.astimezone(zone).date() == day


VALUES = st.lists(st.none() | st.integers(0, 10**6).map(Decimal), max_size=31)


@given(VALUES)
def test_a_course_has_a_column_a_day_higher_where_the_value_is(
    values: list[Decimal | None],
) -> None:
    drawn = sparkline(values)
    assert len(drawn) == len(values)
    known = []
    for value, bar in zip(values, drawn, strict=True):
        assert (bar == GAP) is (value is None)
        if value is not None:
            known.append((value, BARS.index(bar)))
    bars = [bar for _, bar in sorted(known)]
    assert bars == sorted(bars)


@given(st.lists(st.integers(0, 1_000).map(Decimal), min_size=32, max_size=400))
def test_a_long_course_fits_its_width(values: list[Decimal]) -> None:
    assert len(sparkline(values, width=31)) <= 31


@given(st.lists(st.integers(1, 100_000), min_size=1, max_size=50), st.sampled_from([50, 95]))
def test_a_percentile_over_days_is_no_less_and_at_most_12_percent_more(
    times: list[int], percent: int
) -> None:
    import math  # noqa: PLC0415  the steps as the roll-up reckons them

    spans: dict[int, int] = {}
    for ms in times:
        step = math.ceil(20 * math.log10(ms))
        spans[step] = spans.get(step, 0) + 1
    exact = sorted(times)[math.ceil(percent * len(times) / 100) - 1]
    found = percentile(spans, Decimal(percent) / 100)
    assert found is not None
    assert exact - 1 <= found <= exact * Decimal("1.13") + 1
    assert percentile({}, Decimal("0.5")) is None


def test_only_kinds_for_which_anything_happened_are_told() -> None:
    rows = [rate(DAY, 1, 1, "customers"), rate(DAY, 0, 0, "invoices"), rate(DAY, 1, 1)]
    assert entities_of(rows, WEEK) == ["customers"]


def of_kinds(**kinds: list[dict[str, Any]]) -> dict[str, tuple[Figure, ...]]:
    return {kind: figures_of(rows, WEEK, Targets(), entity=kind) for kind, rows in kinds.items()}


def test_the_checklist_names_what_is_missed_the_worst_kind_and_the_command() -> None:
    rows = [
        rate(DAY, 90, 100), rate(DAY, 80, 90, "invoices"), rate(DAY, 10, 10, "customers"),
        row(DAY, "failed_syncs", 10), row(DAY, "rate_limit_hits", 2), row(DAY, "api_calls", 300),
        row(DAY, "calls_per_record", 3, calls=300, records=100), row(DAY, "calls_saved", 100),
    ]  # fmt: skip
    figures = figures_of(rows, WEEK, Targets())
    use = [DayUse(DAY, 700, 150, 1_000), DayUse(WEEK.first, 100, 0, 1_000)]
    usage, success, cost, change = review(figures, of_kinds(invoices=rows, customers=rows), use)
    assert "85 % of a day's limit (850 of 1,000 on 2026-11-22)" in usage.answer
    assert "475 calls a day on average, 16 % of them by others" in usage.answer
    assert "90 % of the syncs succeeded (target ≥ 98 %), 10 failed" in success.answer
    assert "invoices (88.88 %)" in success.answer
    assert "300 calls, 3 for each record" in cost.answer
    assert "100 were saved (25 % of all)" in cost.answer
    assert change.answer == "5 things to look at:"
    for words in ("zohosync status", "[limits]", "report --usage", "plan --forecast"):
        assert any(words in step for step in change.steps), words


def test_the_checklist_of_a_good_week_asks_for_nothing() -> None:
    rows = [rate(DAY, 100, 100), row(DAY, "failed_syncs", 0), row(DAY, "api_calls", 100)]
    answers = review(figures_of(rows, WEEK, Targets()), {}, [DayUse(DAY, 100, 0, None)])
    assert answers[0].answer == "No daily limit is in force; 100 calls a day on average."
    assert answers[3].answer == "Nothing: no target is missed."
    silent = review(figures_of([], WEEK, Targets()), {}, [])
    assert [each.answer for each in silent[:2]] == [
        "No call was made.", "Nothing had to be brought into step.",
    ]  # fmt: skip


def test_a_limit_that_nobody_needs_is_named_after_four_weeks() -> None:
    figures = figures_of([rate(DAY, 1, 1)], WEEK, Targets())
    days = [DayUse(DAY - timedelta(days=back), 100, 0, 1_000) for back in range(28)]
    assert "a smaller plan would do" in review(figures, {}, days)[3].steps[0]
    assert not review(figures, {}, days[:27])[3].steps


def test_a_day_is_bounded_in_utc() -> None:
    began, ended = day_bounds(DAY, ZoneInfo("Africa/Johannesburg"))
    assert began == datetime(2026, 11, 21, 22, tzinfo=UTC)
    assert ended == datetime(2026, 11, 22, 22, tzinfo=UTC)


def test_a_period_without_figures_is_not_called_one_that_misses_nothing() -> None:
    figures = figures_of([], WEEK, Targets())
    assert review(figures, {}, [])[3].answer.startswith("That cannot be said yet")
