"""What the report of key figures is printed or written as: Markdown, CSV, a page with plots."""

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from zohosync.cli.kpis import (
    Report,
    figure_table,
    kind_table,
    met_words,
    title_of,
    today_words,
)
from zohosync.core.kpis import ALL, Figure, sparkline, worded
from zohosync.errors import SettingsError

PAGES = "pages"
"""The folder of the package that holds the page and what is inlined into it."""

INLINED = {
    "style": "vendor/uPlot.min.css", "script": "vendor/uPlot.iife.min.js", "plots": "report.js",
}  # fmt: skip


def as_markdown(report: Report) -> str:
    """For a ticket or a wiki."""
    parts = [f"# {title_of(report)}", _md(*figure_table(report))]
    if report.by_kind:
        parts += ["## By kind", _md(*kind_table(report))]
    parts.append("## The monitoring checklist")
    for answer in report.answers:
        steps = "".join(f"\n- {step}" for step in answer.steps)
        parts.append(f"**{answer.question}** {answer.answer}{steps and chr(10)}{steps}")
    parts.append(today_words(report))
    return "\n\n".join(parts)


def _md(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = [columns, ["---"] * len(columns), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in cells
    )


def as_csv(report: Report) -> str:
    """A row for each figure of the period, of all and of each kind, then one for each day."""
    text = io.StringIO()
    sheet = csv.writer(text, lineterminator="\n")
    sheet.writerow(
        ["first", "last", "entity_type", "metric_type", "value", "target", "met", "before"]
    )
    for entity, figures in ((ALL, report.figures), *report.by_kind.items()):
        for figure in figures:
            period = (report.period.first, report.period.last, entity, figure.kpi.name)
            met = {None: "", True: "yes", False: "no"}[figure.met]
            sheet.writerow(
                [*period, _cell(figure.value), _cell(figure.target), met, _cell(figure.before)]
            )
        for place, day in enumerate(report.period.days if len(report.period.days) > 1 else ()):
            for figure in figures:
                value = _cell(figure.series[place])
                sheet.writerow([day, day, entity, figure.kpi.name, value, "", "", ""])
    return text.getvalue()


def _cell(value: Decimal | None) -> str:
    return "" if value is None else f"{round(value, 4).normalize():f}"


def write_page(file: Path, report: Report) -> None:
    """The report as one page that needs no other file, no network, and for its tables no script.

    Raises SettingsError where it cannot be written.
    """
    from importlib.resources import files

    from jinja2 import Environment
    from markupsafe import Markup

    from zohosync.cli.compare_files import whole

    folder = files("zohosync").joinpath(PAGES)
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    page = environment.from_string(folder.joinpath("report.html").read_text(encoding="utf-8"))
    inlined = {
        name: Markup(folder.joinpath(source).read_text(encoding="utf-8"))  # noqa: S704  ours
        for name, source in INLINED.items()
    }
    named = {figure.kpi.name: figure for figure in report.chart_figures}
    text = page.render(
        report=report, title=title_of(report), figures=report.figures, met=met_words,
        sparkline=sparkline, kinds=kind_table(report), today=today_words(report), named=named,
        worded=worded, series=_series(report, named), **inlined,
    )  # fmt: skip
    try:
        with whole(file) as opened:
            opened.write(text)
    except OSError as error:
        raise SettingsError(
            f"The page cannot be written: {error.strerror or error}", place=str(file)
        ) from None


def _series(report: Report, named: Mapping[str, Figure]) -> dict[str, Any]:
    """What the plots show: the beginning of each day, in UTC, and each figure's values."""
    use = {day.day: day for day in report.use}
    return {
        "days": [
            int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
            for day in report.chart.days
        ],
        "limit": [use[day].limit if day in use else None for day in report.chart.days],
        "others": [use[day].foreign if day in use else None for day in report.chart.days],
        **{
            name: [None if value is None else float(round(value, 4)) for value in figure.series]
            for name, figure in named.items()
        },
    }
