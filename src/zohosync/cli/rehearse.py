"""The rehearsal on the screen: how it goes, its closing table, and what would fail and why."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from zohosync.cli.screen import FAILED, OK, Screen, settings_of

if TYPE_CHECKING:
    from zohosync.demo.rehearsal import Report, Stopped

KEYS = 5
"""Sample keys that are shown of each reason."""

REASONS = 20
"""Reasons that are shown; `--json` has them all."""

COLUMNS = ("rows", "created", "linked", "failed", "skipped", "waiting")


def rehearse(screen: Screen, project: Path, *, directory: Path | None, keep: bool) -> int:
    """Rehearse the project's whole backfill and tell what came of it; returns the exit code."""
    from zohosync.demo import rehearsal

    settings = settings_of(project)
    if directory is not None and directory.exists() and any(directory.iterdir()):
        from zohosync.errors import SettingsError

        raise SettingsError(
            "The directory for the rehearsal holds other files",
            place=str(directory),
            next_step="name a directory that is new or empty",
        )
    screen.line(
        f"Rehearsing {', '.join(settings.kinds) or 'nothing'} under the limits of "
        f"{settings.limits_plan}. Your database is only read; Zoho is not called."
    )
    with _folder(directory, keep=keep) as folder, screen.progress("records rehearsed") as meter:
        report = rehearsal.rehearse(
            settings, folder, lambda what, done, of: meter(done, of or None, what, about=of)
        )
    _tell(screen, report, settings.limits_plan, project)
    return FAILED if _failed(report) else OK


@contextmanager
def _folder(directory: Path | None, *, keep: bool) -> Iterator[Path]:
    if directory is None:
        folder = Path(tempfile.mkdtemp(prefix="zohosync-rehearsal-"))
    else:
        folder = directory
        folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o711)  # where root runs it, the server runs as somebody else
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def _failed(report: "Report") -> list["Stopped"]:
    return [each for each in report.stopped if each.status != "waiting"]


def _tell(screen: Screen, report: "Report", plan: str, project: Path) -> None:
    for note in report.notes:
        screen.line(f"note   {note}", style="yellow")
    rows = [
        (kind, *(getattr(outcome, column) for column in COLUMNS))
        for kind, outcome in report.kinds.items()
    ]
    screen.table(("kind", *COLUMNS), rows)
    for kind, outcome in report.kinds.items():
        if outcome.unsettled:
            screen.line(f"{outcome.unsettled:,} rows of {kind} came to no end of their own")
    days = "1 day" if report.days == 1 else f"{report.days} days"
    screen.line(
        f"{report.calls:,} calls, {report.calls_per_record} for each record in step; "
        f"{report.hours:,.1f} hours of Zoho's time on {days} under the limits of {plan} "
        f"(at most {report.largest_minute} calls in a minute, {report.blocks} blocks), "
        f"{report.seconds:.0f} s here"
    )
    failed = _failed(report)
    waiting = [each for each in report.stopped if each.status == "waiting"]
    _reasons(screen, "would fail", [(each, each.reason) for each in failed])
    _reasons(screen, "would wait", [(each, f"for {each.waiting_on}") for each in waiting])
    screen.next_step(_next(report, project))
    screen.result({
        "ok": not failed,
        "kinds": {kind: asdict(outcome) for kind, outcome in report.kinds.items()},
        "calls": report.calls,
        "calls_per_record": report.calls_per_record,
        "hours": report.hours,
        "days": report.days,
        "limits": plan,
        "largest_minute": report.largest_minute,
        "blocks": report.blocks,
        "failures": [asdict(each) for each in failed],
        "waiting": [asdict(each) for each in waiting],
        "notes": report.notes,
        "seconds": report.seconds,
    })  # fmt: skip


def _reasons(screen: Screen, what: str, found: Sequence[tuple["Stopped", str]]) -> None:
    """Each reason once, the most frequent first, with a few of its keys."""
    groups: dict[tuple[str, str], list[str]] = {}
    for each, reason in found:
        groups.setdefault((each.kind, reason), []).append(each.key)
    ordered = sorted(groups.items(), key=lambda group: -len(group[1]))
    for (kind, reason), keys in ordered[:REASONS]:
        more = ", …" if len(keys) > KEYS else ""
        shown = f"{', '.join(keys[:KEYS])}{more}"
        screen.line(f"{len(keys):,} of {kind} {what}: {reason} ({shown})", style="red")
    if len(ordered) > REASONS:
        left = sum(len(keys) for _, keys in ordered[REASONS:])
        screen.line(f"{left:,} more for {len(ordered) - REASONS:,} other reasons: --json has all")


def _next(report: "Report", project: Path) -> str:
    again = f"zohosync demo --project {project}"
    if _failed(report):
        return f"mend those rows or the mapping, then {again} again"
    if report.stopped:
        return f"see what the waiting ones wait for, then {again} again"
    return "zohosync login to an organisation in test mode (docs/go-live.md, rung 4)"
