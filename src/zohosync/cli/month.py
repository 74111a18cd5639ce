"""The month-end report: count and sum of each kind here beside Zoho's, and why they differ."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from zohosync.cli.screen import FAILED, OK, Screen, instant

if TYPE_CHECKING:
    from zohosync.core.month import Line
    from zohosync.settings import Settings


def month_asked(settings: "Settings", text: str) -> str:
    """That month, YYYY-MM. Raises SettingsError for what is none, or has not begun."""
    from datetime import UTC
    from zoneinfo import ZoneInfo

    from zohosync.clock import SystemClock
    from zohosync.core.month import month_of
    from zohosync.errors import SettingsError

    month = month_of(text)
    if month is None:
        raise SettingsError(f"--month is {text!r}: write it as 2026-10")
    now = SystemClock().now().astimezone(UTC)
    if month > f"{now.astimezone(ZoneInfo(settings.organization.time_zone)):%Y-%m}":
        raise SettingsError(f"{month} has not begun yet")
    return month


async def tell_books(
    screen: Screen, settings: "Settings", month: str, figures: Mapping[str, Any]
) -> int:
    """Show the month's books, once its key figures were told; FAILED when Zoho's were never read.

    `figures` go into the result for programs.
    """
    from zohosync.bootstrap import open_project
    from zohosync.clock import Chance
    from zohosync.core.kinds import KINDS
    from zohosync.core.month import lines_of
    from zohosync.engine.joined import month_entries
    from zohosync.store.comparisons import Comparisons

    dated = tuple(kind for kind in settings.kinds if KINDS[kind].dates)
    lines: list[Line] = []
    async with open_project(settings, chance=Chance()) as project:
        store = Comparisons(project.database, project.org_id, project.worker)
        newest = await store.newest()
        lacking = [kind for kind in dated if kind not in newest]
        if lacking:
            screen.line(f"No books: what Zoho holds of {', '.join(lacking)} was never read.")
            screen.next_step(f"zohosync compare {' '.join(lacking)}")
            screen.result({**figures, "month": month, "never_read": lacking})
            return FAILED
        currency = settings.organization.currency or "?"
        with screen.progress("rows") as meter:
            for kind in dated:
                entries = []
                async for found in month_entries(
                    project.source, store, KINDS[kind], month, currency
                ):
                    entries += found
                    meter(len(entries), None, kind)
                lines += lines_of(kind, entries)
    as_of = {kind: newest[kind]["finished_at"] for kind in dated}
    _say(screen, month, lines, as_of)
    apart = any(any(line.apart) for line in lines)
    screen.next_step(
        "zohosync compare, to see Zoho as it is now" if not apart
        else "zohosync status (reasons, each with a sample key); zohosync compare for a fresh look"
    )  # fmt: skip
    lines_plain = [_plain(line) for line in lines]
    screen.result({**figures, "month": month, "as_of": as_of, "lines": lines_plain})
    return OK


def _say(screen: Screen, month: str, lines: "list[Line]", as_of: dict[str, Any]) -> None:
    oldest = min(as_of.values(), default=None)
    screen.line(f"{month}, Zoho as compare saw it at {instant(oldest)} UTC")
    rows = [
        [line.kind, line.currency, line.here, str(line.here_sum), line.there, str(line.there_sum),
         line.apart[0], str(line.apart[1])]
        for line in lines
    ]  # fmt: skip
    screen.table(
        ["kind", "currency", "here", "sum", "in Zoho", "sum", "apart", "by"], rows or [[""] * 8]
    )
    for line in lines:
        for each in line.explained:
            screen.line(
                f"{line.kind} {line.currency}: {each.count:+,}, {each.amount:+,}: {each.why} "
                f"({'; '.join(each.names)}{' …' if abs(each.count) > len(each.names) else ''})"
            )
    if not any(line.explained for line in lines):
        screen.line("No difference." if lines else "Nothing is dated in that month.")


def _plain(line: "Line") -> dict[str, Any]:
    return {
        "kind": line.kind, "currency": line.currency,
        "here": {"count": line.here, "sum": line.here_sum},
        "there": {"count": line.there, "sum": line.there_sum},
        "apart": {"count": line.apart[0], "sum": line.apart[1]},
        "explained": [
            {"why": each.why, "count": each.count, "sum": each.amount, "for_example": each.names}
            for each in line.explained
        ],
    }  # fmt: skip
