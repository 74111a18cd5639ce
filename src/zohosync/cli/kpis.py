"""The report of key figures: gathered once, then told to people and to programs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from zohosync.core.kpis import (
    Figure,
    Period,
    entities_of,
    figures_of,
    known_days,
    month_period,
    period_of,
    sparkline,
)
from zohosync.core.review import Answer, DayUse, review
from zohosync.errors import SettingsError

if TYPE_CHECKING:
    from zohosync.cli.screen import Screen
    from zohosync.core.sections import Targets
    from zohosync.settings import Settings
    from zohosync.store.database import Database, Row

CHART_DAYS = 30
"""What the page's plots show at the least."""

BY_KIND = (
    "success_rate", "failed_syncs", "avg_sync_time", "p95_sync_time", "avg_attempts",
    "stale_syncs", "api_calls", "calls_per_record", "calls_saved",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for: a period by name (`week` where nothing was), and where it ends."""

    name: str = "week"
    of: date | None = None
    month: str | None = None

    @classmethod
    def read(cls, name: str, of: str | None, month: str | None) -> "Asked":
        """As it stands on the command line. Raises SettingsError for what is no date."""
        try:
            return cls(name, None if of is None else date.fromisoformat(of), month)
        except ValueError:
            raise SettingsError(f"--of is {of!r}: write it as 2026-10-05") from None


@dataclass(frozen=True, slots=True)
class Form:
    """How it is told: printed as Markdown or CSV instead of for people, and as a page."""

    markdown: bool = False
    csv: bool = False
    page: Path | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What there is to tell of a period."""

    organization: str
    zone: str
    period: Period
    known: int
    figures: tuple[Figure, ...]
    by_kind: Mapping[str, tuple[Figure, ...]]
    answers: tuple[Answer, ...]
    today: date
    so_far: tuple[Figure, ...]
    chart: Period
    chart_figures: tuple[Figure, ...]
    use: tuple[DayUse, ...]

    @property
    def missed(self) -> list[str]:
        """The titles of the figures that miss their targets."""
        return [figure.kpi.title for figure in self.figures if figure.met is False]


async def tell(screen: "Screen", settings: "Settings", asked: Asked, form: Form) -> int:
    """Gather it and tell it; of a month, the books follow. Raises SettingsError, DatabaseError."""
    from zohosync.bootstrap import open_database, organization_id
    from zohosync.cli.kpi_files import as_csv, as_markdown, write_page
    from zohosync.cli.month import month_asked, tell_books
    from zohosync.cli.screen import OK

    if asked.month is not None:
        month_asked(settings, asked.month)
    async with open_database(settings) as database:
        org_id = organization_id(settings)
        report = await gather(database, settings, org_id, asked)
    if report is None:
        screen.line(f"Organisation {org_id} is not known in this database yet.")
        screen.next_step("zohosync migrate")
        screen.result({"organization": org_id, "known": False})
        return OK
    if form.page is not None:
        write_page(form.page, report)
    if form.markdown or form.csv:
        print(as_markdown(report) if form.markdown else as_csv(report), end="\n" * form.markdown)
        return OK
    say(screen, report)
    if form.page is not None:
        screen.line(f"Written to {form.page}: open it in a browser.")
    if asked.month is not None:
        return await tell_books(screen, settings, asked.month, as_plain(report))
    screen.next_step(next_of(report))
    screen.result(as_plain(report))
    return OK


def next_of(report: Report) -> str:
    """What to do after reading it."""
    usage = "zohosync report --usage (what the calls went into)"
    if report.missed:
        return f"zohosync status (reasons, each with a sample key); {usage}"
    return f"{usage}; zohosync report --quarter --html FILE (a page with plots)"


async def gather(
    database: "Database", settings: "Settings", org_id: str, asked: Asked
) -> Report | None:
    """The figures of the period; days that are closed and lack them are rolled up first.

    None when the organisation is not known. Raises SettingsError for a period that is not over.
    """
    from zohosync.jobs import figured_days_of
    from zohosync.store.metrics import LATE_S, Metrics
    from zohosync.store.organizations import read_organization

    organization = await read_organization(database, org_id)
    if organization is None:
        return None
    metrics = Metrics(database, org_id)
    zone = ZoneInfo(organization["time_zone"])
    today = _day(organization["now"], zone)
    closed = _day(organization["now"] - timedelta(seconds=LATE_S), zone) - timedelta(days=1)
    period = _period(asked, today, closed)
    await metrics.catch_up(figured_days_of(settings))
    chart = period if len(period.days) >= CHART_DAYS else Period(
        "chart", period.last - timedelta(days=CHART_DAYS - 1), period.last
    )  # fmt: skip
    rows = await metrics.between(min(period.before.first, chart.first), period.last)
    so_far = await metrics.so_far()
    if period.days == [today]:
        rows = [*rows, *so_far]
    targets = settings.targets
    figures, by_kind = _both(rows, period, targets)
    spent = await database.fetch("read_usage_days", org_id=org_id, day=chart.first)
    use = _use(spent, chart)
    return Report(
        organization=org_id,
        zone=organization["time_zone"],
        period=period,
        known=known_days(rows, period),
        figures=figures,
        by_kind=by_kind,
        answers=review(figures, by_kind, [day for day in use if day.day >= period.first]),
        today=today,
        so_far=figures_of(so_far, Period("day", today, today), targets),
        chart=chart,
        chart_figures=figures_of(rows, chart, targets),
        use=use,
    )


def _both(
    rows: Sequence["Row"], period: Period, targets: "Targets"
) -> tuple[tuple[Figure, ...], dict[str, tuple[Figure, ...]]]:
    """Of all kinds together, and of each for which anything happened."""
    kinds = entities_of(rows, period)
    by_kind = {kind: figures_of(rows, period, targets, entity=kind) for kind in kinds}
    return figures_of(rows, period, targets), by_kind


def _day(now: datetime, zone: ZoneInfo) -> date:
    return now.astimezone(zone).date()


def _period(asked: Asked, today: date, closed: date) -> Period:
    if asked.month is not None:
        period = month_period(asked.month)
        if period.first > today:
            raise SettingsError(f"{asked.month} has not begun yet")
        return Period("month", period.first, min(period.last, max(closed, period.first)))
    of = asked.of or closed
    if of > today:
        raise SettingsError(
            f"{of} is in the future", next_step="key figures are of days that are over"
        )
    if of > closed and (asked.name != "day" or of != today):
        raise SettingsError(
            f"{of} is not over yet", next_step=f"leave --of out, or name a day up to {closed}"
        )
    return period_of(asked.name, of)


def _use(rows: Sequence["Row"], period: Period) -> tuple[DayUse, ...]:
    """What each day of the period used, from the first one of which anything is kept."""
    kept = {row["day"]: row for row in rows}
    days = [day for day in period.days if kept and day >= min(kept)]
    return tuple(
        DayUse(day, row["calls"], row["foreign_calls"], row["per_day"])
        if (row := kept.get(day)) is not None
        else DayUse(day, 0, 0, None)
        for day in days
    )


def say(screen: "Screen", report: Report) -> None:
    """In a terminal."""
    screen.line(title_of(report), style="bold")
    screen.table(*figure_table(report))
    if len(report.by_kind) > 1:
        screen.table(*kind_table(report), title="By kind")
    for answer in report.answers:
        screen.line(f"{answer.question} {answer.answer}")
        for step in answer.steps:
            screen.line(f"  - {step}")
    screen.line(today_words(report), style="dim")


def title_of(report: Report) -> str:
    """What it is of, and of how many days there is anything."""
    words = f"Key figures of {report.period.words}"
    days = len(report.period.days)
    if report.period.days == [report.today]:
        words += ", so far: the day is not over"
    elif report.known < days:
        words += f", of which {report.known} are known"
    return f"{words}; organisation {report.organization}, {report.zone}"


def figure_table(report: Report) -> tuple[list[str], list[list[str]]]:
    """Columns and rows: each figure with its target, trend and course."""
    long = len(report.period.days) > 1
    rows = [
        [
            figure.kpi.title, figure.shown, figure.aim, met_words(figure),
            f"{figure.change}{f' ({figure.turn})' if figure.turn else ''}",
            *([sparkline(figure.series)] if long else []),
        ]
        for figure in report.figures
    ]  # fmt: skip
    columns = ["figure", "value", "target", "met", "trend"]
    return [*columns, *(["course"] if long else [])], rows


def met_words(figure: Figure) -> str:
    """Whether the target is met; nothing where there is none, or nothing to measure."""
    return {None: "", True: "yes", False: "NO"}[figure.met]


def kind_table(report: Report) -> tuple[list[str], list[list[str]]]:
    """Columns and rows: some of the figures of each kind."""
    kpis = [figure.kpi for figure in report.figures if figure.kpi.name in BY_KIND]
    rows = [
        [kind, *(figure.shown for figure in figures if figure.kpi in kpis)]
        for kind, figures in report.by_kind.items()
    ]
    return ["kind", *(kpi.title for kpi in kpis)], rows


def today_words(report: Report) -> str:
    """Today, in one line."""
    named = {figure.kpi.name: figure for figure in report.so_far}
    return (
        f"Today ({report.today}) so far: success rate {named['success_rate'].shown}, "
        f"{named['failed_syncs'].shown} failed, {named['api_calls'].shown} calls, "
        f"{named['calls_saved'].shown} saved, {named['rate_limit_hits'].shown} rate limit hits"
    )


def as_plain(report: Report) -> dict[str, Any]:
    """For programs."""
    return {
        "organization": report.organization, "known": True, "time_zone": report.zone,
        "period": report.period.name, "first": report.period.first, "last": report.period.last,
        "days": len(report.period.days), "days_known": report.known,
        "figures": {figure.kpi.name: _plain(figure) for figure in report.figures},
        "by_kind": {
            kind: {figure.kpi.name: _number(figure.value) for figure in figures}
            for kind, figures in report.by_kind.items()
        },
        "answers": [
            {"question": each.question, "answer": each.answer, "steps": each.steps}
            for each in report.answers
        ],
        "missed": report.missed,
        "today": {
            "day": report.today,
            **{figure.kpi.name: _number(figure.value) for figure in report.so_far},
        },
    }  # fmt: skip


def _plain(figure: Figure) -> dict[str, Any]:
    return {
        "value": _number(figure.value), "target": _number(figure.target), "met": figure.met,
        "before": _number(figure.before), "trend": figure.trend or None,
        "by_day": [_number(value) for value in figure.series],
    }  # fmt: skip


def _number(value: Decimal | None) -> Decimal | int | None:
    """Without digits that say nothing."""
    if value is None or value != value.to_integral_value():
        return value if value is None else round(value, 4)
    return int(value)
