"""The verb report: calls by day, lane, kind and operation, and the calls that were not needed."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zohosync.cli.screen import HERE, OK, AsJson, ProjectDir, Screen, settings_of

if TYPE_CHECKING:
    from zohosync.settings import Settings
    from zohosync.store.usage import Used


def report(
    project: ProjectDir = HERE,
    usage: Annotated[
        bool,
        typer.Option("--usage", help="Calls used and spared (the one report there is so far)."),
    ] = True,
    days: Annotated[int, typer.Option(min=1, max=1_000, help="How many days, with today.")] = 7,
    month: Annotated[
        str | None,
        typer.Option(metavar="YYYY-MM", help="That month's books here beside Zoho's."),
    ] = None,
    json: AsJson = False,
) -> int:
    """Calls by day, lane, kind and operation; or, with --month, the books beside Zoho's."""
    if month is not None:
        from zohosync.cli.month import report_month

        return report_month(Screen(json), settings_of(project), month)
    assert usage
    return asyncio.run(_report(Screen(json), settings_of(project), days))


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
