"""The verb report, and what it tells of calls: by day, lane, kind and operation, needed or not."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zohosync.cli.screen import HERE, OK, AsJson, ProjectDir, Screen, settings_of

if TYPE_CHECKING:
    from zohosync.settings import Settings
    from zohosync.store.usage import Used


def report(  # noqa: PLR0917  typer hands them over by name
    project: ProjectDir = HERE,
    day: Annotated[bool, typer.Option("--day", help="Key figures of a day.")] = False,
    week: Annotated[bool, typer.Option("--week", help="Of 7 days (the default).")] = False,
    month: Annotated[
        str | None,
        typer.Option(metavar="YYYY-MM", help="Of a month; and its books here beside Zoho's."),
    ] = None,
    quarter: Annotated[bool, typer.Option("--quarter", help="Of 91 days: 13 weeks.")] = False,
    of: Annotated[
        str | None,
        typer.Option(metavar="YYYY-MM-DD", help="Its last day, instead of yesterday."),
    ] = None,
    usage: Annotated[bool, typer.Option("--usage", help="Calls used and spared instead.")] = False,
    days: Annotated[
        int | None,
        typer.Option(min=1, max=1_000, help="With --usage: how many days, today included."),
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print it as Markdown.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print it as CSV, each day too.")] = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write one page, with plots.")
    ] = None,
    prometheus: Annotated[
        bool, typer.Option("--prometheus", help="Print what a worker shows at /metrics.")
    ] = False,
    json: AsJson = False,
) -> int:
    """Key figures against their targets, and what to change; or, with --usage, the calls."""
    from zohosync.errors import SettingsError

    periods = {"--day": day, "--week": week, "--month": month, "--quarter": quarter}
    said = [name for name, value in {**periods, "--usage": usage or days}.items() if value]
    shapes = {"--markdown": markdown, "--csv": csv, "--prometheus": prometheus, "--json": json}
    shaped = [name for name, value in shapes.items() if value]
    alone = ["--prometheus"] if prometheus else [name for name in said if name == "--usage"]
    others = [*said, *shaped, *(["--of"] if of else []), *(["--html"] if html else [])]
    others = [name for name in others if name not in alone and (prometheus or name != "--json")]
    for together in (said, shaped, [*alone, *others] if alone else [], _dated(said, of)):
        if len(together) > 1:
            raise SettingsError(f"{together[0]} and {together[1]} do not go together")
    if alone == ["--usage"]:
        return asyncio.run(_report(Screen(json), settings_of(project), days or USAGE_DAYS))
    if prometheus:
        return asyncio.run(_expose(settings_of(project)))
    from zohosync.cli.kpis import Asked, Form, tell

    asked = Asked.read(said[0].removeprefix("--") if said else "week", of, month)
    form = Form(markdown=markdown, csv=csv, page=html)
    return asyncio.run(tell(Screen(json), settings_of(project), asked, form))


USAGE_DAYS = 7


def _dated(said: Sequence[str], of: str | None) -> list[str]:
    """A month says itself when it is."""
    return ["--of", "--month"] if of and "--month" in said else []


async def _expose(settings: "Settings") -> int:
    """For a collector that reads files, where a worker's port cannot be reached."""
    from zohosync.bootstrap import open_database, organization_id
    from zohosync.dashboard.exposition import text_of
    from zohosync.store.metrics import Metrics

    async with open_database(settings) as database:
        snapshot = await Metrics(database, organization_id(settings)).snapshot()
    print("" if snapshot is None else text_of(snapshot, settings.targets), end="")
    return OK


async def _report(screen: Screen, settings: "Settings", days: int) -> int:
    from zohosync.bootstrap import open_database, organization_id
    from zohosync.store.usage import Usage, values_of

    async with open_database(settings) as database:
        org_id = organization_id(settings)
        found = await Usage(database, org_id).used(days)
    if found is None:
        screen.line(f"Organisation {org_id} is not known in this database yet.")
        screen.next_step("zohosync migrate")
        screen.result({"organization": org_id, "known": False})
        return OK
    values = values_of(found, days)
    _say_report(screen, found, values["today"], values["by_day"], values["saved_by_kind"])
    screen.next_step("zohosync plan --forecast" if found.calls else "zohosync run")
    screen.result({"organization": org_id, "known": True, "limits": settings.limits_plan, **values})
    return OK


def _say_report(
    screen: Screen, found: "Used", today: Mapping[str, Any],
    by_day: Sequence[Mapping[str, Any]], saved: Sequence[Mapping[str, Any]],
) -> None:  # fmt: skip
    of = "" if today["limit"] is None else f" of {today['limit']:,} ({today['percent']} %)"
    left = "" if today["left"] is None else f"; {today['left']:,} left"
    screen.line(
        f"Today ({today['day']}): {today['spent']:,} calls of ours, {today['foreign']:,} of "
        f"others{of}{left}"
    )
    names = ("day", "live", "normal", "bulk", "upkeep", "calls", "refused", "foreign", "warned")
    if by_day:
        rows = [
            [str(row["day"]), *(row[name] for name in names[1:-1]),
             f"{row['warned']} %" if row["warned"] else ""]
            for row in by_day
        ]  # fmt: skip
        screen.table(names, rows, title="Calls by day and lane")
    operations: Counter[tuple[str, str]] = Counter()
    for row in found.calls:
        operations[row["kind"] or "-", row["operation"]] += row["calls"]
    if operations:
        rows = [[*name, calls] for name, calls in operations.most_common()]
        screen.table(("kind", "operation", "calls"), rows, title="Calls by kind and operation")
    if saved:
        columns = ("kind", "changes", "calls", "unchanged", "merged", "reads", "saved")
        rows = [[row[name] for name in columns] for row in saved]
        screen.table(columns, rows, title="Calls that were not needed")
    total = sum(row["saved"] for row in saved)
    spent = sum(row["calls"] for row in found.calls)
    screen.line(f"{spent:,} spent, {total:,} saved since {found.since:%Y-%m-%d}")
