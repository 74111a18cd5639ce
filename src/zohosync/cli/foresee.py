"""The verb plan: what would be done, step by step or field by field, and how long it takes."""

import asyncio
from collections.abc import Sequence
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zohosync.cli.preview import SCREENFUL, Listing, money_json, plan_one, say_money, written
from zohosync.cli.screen import (
    HERE,
    OK,
    AsJson,
    ProjectDir,
    Screen,
    kinds_of,
    settings_of,
)

if TYPE_CHECKING:
    from zohosync.bootstrap import Project
    from zohosync.core.forecast import Forecast, Standing, WhatIf
    from zohosync.core.governor import Limits
    from zohosync.engine.passes import Rehearsal
    from zohosync.settings import Settings

ASSUMPTIONS = (
    "a create is one call and one more for each change of state after it",
    "what is in step costs none; a look-up is one; taxes and items are looked for once",
    "nothing fails and Zoho does not block; a failure costs its retries on top",
)
Names = Annotated[
    list[str] | None, typer.Argument(metavar="[KIND]... | KIND KEY", show_default=False)
]


def plan(  # noqa: PLR0917 - options are not positional on a command line
    names: Names = None,
    project: ProjectDir = HERE,
    forecast: Annotated[
        bool, typer.Option("--forecast", help="Calls, hours and days that a backfill takes.")
    ] = False,
    per_day: Annotated[
        int | None,
        typer.Option(
            min=0, max=10_000_000, help="Live calls a day meanwhile, instead of the last week's."
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="DATE", help="What leaving out older records would do (2026-01-31)."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=0, max=1_000_000, help=f"Records shown of each kind, instead of {SCREENFUL}."
        ),
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Show every record.")] = False,
    table: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", help="Every change, a row for each field."),
    ] = None,
    json: AsJson = False,
) -> int:
    """What would be done, by the very code that does it: a kind's steps, or one record's fields.

    Record by record, with the calls, the time and the money that it takes. With --forecast, how
    long a backfill takes under the limits, and what would change that. Spends no call.
    """
    from zohosync.errors import SettingsError

    screen, settings = Screen(json), settings_of(project)
    named, mapped = names or [], tuple(settings.kinds)
    day = _day_of(since)
    one = len(named) == 2 and named[1] not in mapped
    if (forecast or one) and (limit is not None or all_ or table is not None):
        raise SettingsError(
            "--limit, --all and --csv list whole kinds", next_step="zohosync plan [KIND]..."
        )
    if all_ and limit is not None:
        raise SettingsError("--all and --limit contradict each other", next_step="leave one out")
    if not forecast and (per_day is not None or day is not None):
        step = f"zohosync plan --forecast {' '.join(named)}".strip()
        raise SettingsError("--per-day and --since go with --forecast", next_step=step)
    if one and not forecast:
        kinds_of(named[:1], mapped)
        return asyncio.run(plan_one(screen, settings, named[0], named[1]))
    kinds = kinds_of(named, mapped)
    if forecast:
        return asyncio.run(_forecast(screen, settings, kinds, per_day=per_day, since=day))
    shown = None if all_ else SCREENFUL if limit is None else limit
    return asyncio.run(rehearse_kinds(screen, settings, kinds, limit=shown, table=table))


def _day_of(text: str | None) -> date | None:
    """A day as it is written on a command line. Raises SettingsError."""
    from zohosync.errors import SettingsError

    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise SettingsError(
            f"--since is {text!r}: it must be a date", next_step="write it like 2026-01-31"
        ) from None


async def rehearse_kinds(
    screen: Screen,
    settings: "Settings",
    kinds: tuple[str, ...],
    *,
    limit: int | None = SCREENFUL,
    table: Path | None = None,
) -> int:
    """Plan every row of these kinds and say the steps, what they cost and the money they move."""
    from zohosync.bootstrap import open_project
    from zohosync.clock import Chance
    from zohosync.core.figures import cost_of
    from zohosync.core.money import Money
    from zohosync.store.usage import Usage

    with closing(Listing(screen, limit=limit)) as listing:
        with written(table) as listing.table:
            async with open_project(settings, chance=Chance()) as project:
                standing = await Usage(project.database, project.org_id).standing()
                assert standing is not None, "the project registered its organisation"
                today = standing.now.astimezone(standing.zone).date()
                money = Money(today, settings.organization.currency)
                found = await _rehearsed(screen, project, kinds, money=money, see=listing)
        listing.say()
    cost = cost_of(found.calls, settings.limits, used_today=sum(standing.used.values()))
    _say_steps(screen, found)
    warnings = say_money(screen, money)
    ends = _ends(found, settings, standing)
    for text in _uncounted(found):
        screen.line(f"- {text}")
    screen.line(f"{ends.words}, under the limits {settings.limits_plan}. Nothing was sent.")
    if table is not None:
        screen.line(f"Every change stands in {table}, a row for each field.")
    screen.next_step(f"zohosync backfill {' '.join(kinds) if len(kinds) == 1 else ''}".strip())
    screen.result(
        {
            "dry_run": True, "rows": found.rows, "kinds": _tallies(found),
            "calls": cost.calls, "minutes": round(cost.minutes, 1), "days": cost.days,
            "limits": settings.limits_plan, "ends": _plain(ends),
            "uncounted": _uncounted(found), "today": today,
            "money": money_json(money), "warnings": warnings,
            "listing": listing.as_json(), "csv": None if table is None else str(table),
        }
    )  # fmt: skip
    return OK


def _uncounted(found: "Rehearsal") -> list[str]:
    """What the calls and sums of a rehearsal leave out, in words."""
    texts = {
        "wait": "wait for parents that Zoho lacks, and are not counted",
        "verify": "may have been written already; what comes after the look-up is not counted",
    }
    counts = {
        word: sum(tally.steps.get(word, 0) for tally in found.tallies.values()) for word in texts
    }
    return [f"{count:,} {texts[word]}" for word, count in counts.items() if count]


def _ends(found: "Rehearsal", settings: "Settings", standing: "Standing") -> "Forecast":
    """When the calls of a rehearsal would be done, in the lane of backfills."""
    from dataclasses import replace

    from zohosync.core.forecast import forecast
    from zohosync.core.records import BULK

    mix = {kind: tally.calls for kind, tally in found.tallies.items() if tally.calls}
    return forecast({BULK: found.calls}, settings.limits, replace(standing, mix=mix))


async def _rehearsed(
    screen: Screen, project: "Project", kinds: tuple[str, ...], **more: Any
) -> "Rehearsal":
    """Every row of these kinds planned, while the screen shows how far it is.

    `more` goes to the Rehearser: since, money, see.
    """
    from zohosync.engine.passes import Rehearser, rehearse
    from zohosync.store.history import History
    from zohosync.store.inspection import Inspection
    from zohosync.wiring import policy_of

    rehearser = Rehearser(
        project.source,
        policy_of(project.settings, project.installation),
        records=project.records,
        history=History(project.database, project.org_id),
        **more,
    )
    inspection, found = Inspection(project.database), rehearser.result
    about = sum([await inspection.rows(project.source.mapped(kind)) for kind in kinds])
    with screen.progress("planned") as meter:
        await rehearse(
            rehearser, project.source, kinds,
            lambda kind, n: meter(found.rows, None, f"{kind} {n:,}", about=about),
        )  # fmt: skip
    return found


def _say_steps(screen: Screen, found: "Rehearsal") -> None:
    rows = [
        (kind, word, count)
        for kind, tally in found.tallies.items()
        for word, count in sorted(tally.steps.items())
    ]
    screen.table(("kind", "step", "records"), rows, title="What a backfill would do")
    for kind, failures in found.failures.items():
        for key, message in failures:
            screen.line(f"{kind} {key} would fail: {message}", style="red")


def _tallies(found: "Rehearsal") -> dict[str, Any]:
    return {
        kind: {"steps": tally.steps, "calls": tally.calls} for kind, tally in found.tallies.items()
    }


async def _forecast(
    screen: Screen,
    settings: "Settings",
    kinds: tuple[str, ...],
    *,
    per_day: int | None,
    since: date | None,
) -> int:
    from dataclasses import replace

    from zohosync.bootstrap import open_project
    from zohosync.clock import Chance
    from zohosync.core.forecast import Standing, forecast, what_if
    from zohosync.core.records import BULK
    from zohosync.store.usage import Usage

    async with open_project(settings, chance=Chance()) as project:
        found = await _rehearsed(screen, project, kinds, since=since)
        standing = await Usage(project.database, project.org_id).standing(per_day=per_day)
    assert isinstance(standing, Standing), "the project registered its organisation"
    mix = {kind: tally.calls for kind, tally in found.tallies.items() if tally.calls}
    standing = replace(standing, mix=mix)
    older = {}
    if since is not None:
        older[f"without the {found.older_rows:,} records before {since}"] = found.older_calls
    wanted = {BULK: found.calls}
    ends = forecast(wanted, settings.limits, standing)
    changes = what_if(wanted, settings.limits, standing, plan=settings.limits_plan, older=older)
    assumed = _assumed(settings.limits, standing, since, given=per_day is not None)
    assumed += _uncounted(found)
    paused = [kind for kind in project.organization.paused_kinds if kind in kinds]
    _say_steps(screen, found)
    _say_forecast(screen, ends, changes, settings)
    for text in assumed:
        screen.line(f"- {text}")
    if project.organization.paused:
        screen.line(f"Paused, all of it: {project.organization.paused}", style="red")
    if paused:
        screen.line(f"Paused, and not begun before it is resumed: {', '.join(paused)}")
    screen.next_step(f"zohosync backfill {' '.join(kinds) if len(kinds) == 1 else ''}".strip())
    screen.result(
        {
            "forecast": True, "limits": settings.limits_plan, "rows": found.rows,
            "kinds": _tallies(found), **_plain(ends),
            "minute_hours": round(ends.minute_hours, 2), "day_days": ends.day_days,
            "held_by": ends.held_by,
            "lanes": [
                {"lane": lane, "calls": calls, "meanwhile_a_day": comes, "ends_at": ends_at}
                for lane, calls, comes, ends_at in _lanes(ends)
            ],
            "what_if": [{"change": row.change, **_plain(row.forecast)} for row in changes],
            "used_today": sum(standing.used.values()), "foreign_today": standing.foreign_today,
            "older": {"rows": found.older_rows, "calls": found.older_calls} if since else None,
            "paused": paused, "assumptions": assumed,
        }
    )  # fmt: skip
    return OK


def _assumed(
    limits: "Limits", standing: "Standing", since: date | None, *, given: bool
) -> list[str]:
    """What the forecast takes for granted, in words."""
    from zohosync.core.forecast import WINDOW_DAYS
    from zohosync.core.records import LANES

    comes = [f"{rate:,g} {LANES[lane]}" for lane, rate in standing.arrivals.items() if rate]
    whence = "as told" if given else f"as in the last {WINDOW_DAYS} days"
    said = f"meanwhile {' and '.join(comes) or 'no other'} calls a day come, {whence}"
    texts = [*ASSUMPTIONS, said]
    shares = limits.shares
    if standing.foreign or shares.others:
        texts.append(
            f"others use {standing.foreign:,.0f} calls a day; {shares.others:.0%} is kept for them"
        )
    if limits.per_day:
        room = f"{shares.day_room:.0%} of the day for live, less and less towards midnight"
        texts.append(f"backfills leave {shares.room} place of the minute and {room}")
    if since is not None:
        texts.append("kinds that have no date of their own are not older than any day")
    return texts


def _lanes(ends: "Forecast") -> list[tuple[str, int, float, Any]]:
    from zohosync.core.records import LANES

    return [
        (LANES[each.lane], each.calls, each.arrivals, each.ends_at if each.calls else None)
        for each in ends.lanes
    ]


def _plain(ends: "Forecast") -> dict[str, Any]:
    hours = None if ends.hours is None else round(ends.hours, 2)
    return {"calls": ends.calls, "hours": hours, "days": ends.days, "ends_at": ends.ends_at}


def _say_forecast(
    screen: Screen, ends: "Forecast", changes: Sequence["WhatIf"], settings: "Settings"
) -> None:
    screen.line(f"{ends.words}, under the limits {settings.limits_plan}. Nothing was sent.")
    if ends.calls:
        days = "over three years" if ends.day_days is None else f"{ends.day_days:,} days"
        screen.line(
            f"The limit of the {ends.held_by} decides: by the minute alone "
            f"{ends.minute_hours:,.1f} hours, by the day alone {days}."
        )
    rows = [
        (lane, calls, f"{comes:,g}", f"{ends_at:%Y-%m-%d %H:%M}" if ends_at else "")
        for lane, calls, comes, ends_at in _lanes(ends)
    ]
    screen.table(("lane", "calls", "a day meanwhile", "done by"), rows)
    table = [(row.change, row.forecast.calls, row.forecast.words) for row in changes]
    if table and ends.calls:
        screen.table(("what if", "calls", "then"), table)
