"""The verbs that look: status, why, logs, settings."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zohosync.cli.screen import (
    FAILED,
    HERE,
    OK,
    AsJson,
    ProjectDir,
    Screen,
    instant,
    kinds_of,
    settings_of,
)

if TYPE_CHECKING:
    from zohosync.settings import Settings

STATUSES = (
    "synced", "pending", "syncing", "retrying", "waiting", "uncertain", "failed", "skipped",
)  # fmt: skip
Kind = Annotated[str, typer.Argument(metavar="KIND", show_default=False)]
Key = Annotated[str, typer.Argument(metavar="KEY", show_default=False)]


def status(project: ProjectDir = HERE, json: AsJson = False) -> int:
    """How many of each kind stand where, what holds the rest up, and who works on it."""
    return asyncio.run(_status(Screen(json), settings_of(project)))


async def _status(screen: Screen, settings: "Settings") -> int:
    from zohosync.bootstrap import open_database, organization_id
    from zohosync.store.history import History
    from zohosync.store.usage import Usage

    async with open_database(settings) as database:
        org_id = organization_id(settings)
        history = History(database, org_id)
        organization = await history.organization()
        if organization is None:
            screen.line(f"Organisation {org_id} is not known in this database yet.")
            screen.next_step("zohosync migrate")
            screen.result({"organization": org_id, "known": False, "kinds": {}})
            return OK
        counts = await history.counts()
        progress = await history.progress()
        reasons = await history.reasons()
        workers = await history.workers()
        alive = await history.alive()
        left = progress.moving
        eta_s = await Usage(database, org_id).remaining_s(left) if left else None
    kinds: dict[str, dict[str, int]] = {kind: {} for kind in settings.kinds}
    for row in counts:
        kinds.setdefault(row["kind"], {})[row["status"]] = row["records"]
    marked = {kind: found.get("marked", 0) for kind, found in progress.by_kind.items()}
    seen = [status for status in STATUSES if any(status in found for found in kinds.values())]
    rows = [
        (kind, *(found.get(name, 0) for name in seen), marked.get(kind, 0))
        for kind, found in kinds.items()
    ]
    _say_organization(screen, organization, settings)
    screen.table(("kind", *seen, "marked"), rows)
    for reason in reasons:
        screen.line(
            f"{'about ' if reason['about'] else ''}{reason['records']:,} {reason['kind']} "
            f"{reason['status']}: {reason['reason']} "
            f"(like {reason['sample_key']})",
            style=None if reason["status"] == "waiting" else "red",
        )
    screen.line(_workers_line(workers, alive))
    if left:
        screen.line(_left_line(left, eta_s))
    nothing = not counts and not left
    screen.next_step(
        "zohosync backfill --dry-run"
        if nothing and not organization["paused"]
        else _next_of(organization, left, alive, reasons, settings)
    )
    screen.result(
        {
            "organization": org_id, "known": True, "mode": organization["mode"],
            "paused": organization["paused"], "paused_kinds": organization["paused_kinds"],
            "brakes": organization["brakes"],
            "closed_for_s": organization["closed_for_s"],
            "calls_today": organization["calls_today"],
            "limits": settings.limits_plan, "kinds": kinds, "marked": marked,
            "moving": left, "eta_s": eta_s, "reasons": reasons, "workers": len(alive),
        }
    )  # fmt: skip
    return OK


def _say_organization(
    screen: Screen, organization: Mapping[str, Any], settings: "Settings"
) -> None:
    from zohosync.core.figures import span_words

    per_day = settings.limits.per_day
    of = f" of {per_day:,}" if per_day else ""
    screen.line(
        f"Organisation {organization['org_id']} ({organization['mode']}), limits "
        f"{settings.limits_plan}: {organization['calls_today']:,}{of} calls today"
    )
    if organization["paused"]:
        screen.line(f"Paused: {organization['paused']}", style="red")
    closed_s = organization["closed_for_s"]
    if closed_s is not None and closed_s > 0:
        why = organization["closed_reason"]
        screen.line(f"Closed for {span_words(closed_s)}: {why}", style="yellow")
    paused = [kind for kind in organization["paused_kinds"] if kind in settings.kinds]
    if paused:
        screen.line(f"Paused kinds: {', '.join(paused)}", style="yellow")
    for brake in organization["brakes"].values():
        screen.line(f"Braked: {brake['why']}", style="yellow")


def _left_line(left: int, eta_s: float | None) -> str:
    from zohosync.core.figures import span_words

    span = "no end within three years" if eta_s is None else span_words(eta_s)
    return f"{left:,} on their way: {span} under the limits, once a worker runs"


def _workers_line(workers: Sequence[Mapping[str, Any]], alive: Sequence[Mapping[str, Any]]) -> str:
    if not workers:
        return "No worker is running."
    named = ", ".join(str(row["worker"]) for row in alive[:4])
    silent = len(workers) - len(alive)
    gone = f"; {silent} went silent" if silent else ""
    return f"{len(alive)} workers alive{': ' + named if named else ''}{gone}"


def _next_of(
    organization: Mapping[str, Any],
    moving: int,
    alive: Sequence[Any],
    reasons: Sequence[Mapping[str, Any]],
    settings: "Settings",
) -> str:
    if organization["paused"]:
        return "mend what is named above (zohosync login), then zohosync resume"
    if any(kind in settings.kinds for kind in organization["paused_kinds"]):
        return "zohosync resume KIND opens a kind"
    if moving and not alive:
        return "zohosync run"
    if reasons:
        from zohosync.core.records import Ref

        example = Ref(reasons[0]["kind"], reasons[0]["sample_key"])
        return f"zohosync why {example.arguments}"
    return "nothing: all is in step" if not moving else "wait, or zohosync status again"


def why(kind: Kind, key: Key, project: ProjectDir = HERE, json: AsJson = False) -> int:
    """Why one record stands where it does: state, attempts, what it waits for, its last calls."""
    settings = settings_of(project)
    kinds_of([kind], _all_kinds())
    return asyncio.run(_why(Screen(json), settings, kind, key))


async def _why(screen: Screen, settings: "Settings", kind: str, key: str) -> int:
    from zohosync.bootstrap import open_database, organization_id
    from zohosync.core.records import Ref
    from zohosync.store.history import History

    ref = Ref(kind, key)
    async with open_database(settings) as database:
        story = await History(database, organization_id(settings)).story(ref)
    if story is None:
        return await _unknown(screen, settings, ref)
    first, *rest = story.lines()
    screen.line(first)
    for text in rest:
        screen.line(f"  {text}")
    _say_attempts(screen, story.attempts)
    _say_calls(screen, story.calls)
    screen.next_step(story.next_step())
    screen.result({"known": True, **story.as_values()})
    return OK


async def _unknown(screen: Screen, settings: "Settings", ref: Any) -> int:
    """Say of a record that is not known whether the mapping has such a row at all."""
    from zohosync.bootstrap import open_project
    from zohosync.clock import Chance

    row = None
    if ref.kind in settings.kinds:
        async with open_project(settings, chance=Chance(), kinds=(ref.kind,)) as project:
            row = (await project.source.desired([ref]))[ref]
    fault = row.faults[0].message if row is not None and row.faults else None
    if row is None:
        screen.line(f"{ref} is not known, and its mapping returns no such row.")
        screen.next_step("see that the key is the `key` of the mapping, as text")
    else:
        screen.line(f"{ref} is not known yet: its row is there, but nothing has marked it.")
        if fault:
            screen.line(f"  it would fail: {fault}", style="red")
        screen.next_step(f"zohosync backfill {ref.kind}")
    screen.result({"known": False, "row": row is not None, "fault": fault})
    return FAILED


def _say_attempts(screen: Screen, attempts: Sequence[Mapping[str, Any]]) -> None:
    rows = [
        (
            instant(each["created_at"]), each["step"], each["result"], each["calls"],
            each["duration_ms"], each["error_message"] or "",
        )
        for each in attempts
    ]  # fmt: skip
    if rows:
        screen.table(("attempt at (UTC)", "step", "result", "calls", "ms", "what was wrong"), rows)


def _say_calls(screen: Screen, calls: Sequence[Mapping[str, Any]]) -> None:
    rows = [
        (
            instant(each["started_at"]), f"{each['method']} {each['path']}", each["status"] or "",
            each["code"] or "", each["outcome"] or "no outcome", each["latency_ms"] or "",
        )
        for each in calls
    ]  # fmt: skip
    if rows:
        screen.table(("call at (UTC)", "call", "status", "code", "outcome", "ms"), rows)


def logs(  # noqa: PLR0917 - options are not positional on a command line
    kind: Annotated[str | None, typer.Argument(metavar="[KIND]", show_default=False)] = None,
    key: Annotated[str | None, typer.Argument(metavar="[KEY]", show_default=False)] = None,
    project: ProjectDir = HERE,
    calls: Annotated[bool, typer.Option("--calls", help="HTTP calls instead of attempts.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at the most.")] = 50,
    json: AsJson = False,
) -> int:
    """The newest attempts, or calls, of all records, of a kind or of one record."""
    settings = settings_of(project)
    if kind is not None:
        kinds_of([kind], _all_kinds())
    return asyncio.run(_logs(Screen(json), settings, kind, key, calls=calls, limit=limit))


async def _logs(
    screen: Screen, settings: "Settings", kind: str | None, key: str | None, *, calls: bool,
    limit: int,
) -> int:  # fmt: skip
    from zohosync.bootstrap import open_database, organization_id
    from zohosync.store.history import History

    async with open_database(settings) as database:
        history: History = History(database, organization_id(settings))
        found = await (history.calls if calls else history.logs)(kind, key, limit=limit)
    if calls:
        _say_calls(screen, [{**row, "path": _whose(row)} for row in found])
    else:
        _say_attempts(screen, [{**row, "step": f"{_name(row)} {row['step']}"} for row in found])
    if not found:
        screen.line("nothing yet")
    screen.next_step("zohosync why KIND KEY" if found else "zohosync run")
    screen.result({"calls" if calls else "attempts": found})
    return OK


def _name(row: Mapping[str, Any]) -> str:
    return f"{row['kind']} {row['key']}"


def _whose(row: Mapping[str, Any]) -> str:
    return f"{row['path']}  {_name(row)}" if row["kind"] else str(row["path"])


def _all_kinds() -> tuple[str, ...]:
    from zohosync.core.kinds import KINDS

    return tuple(KINDS)


def settings(project: ProjectDir = HERE, json: AsJson = False) -> int:
    """Every setting in force and where it came from; secrets are masked. Asks nobody."""
    screen = Screen(json)
    found = settings_of(project)
    rows = [(each.name, each.shown, each.source) for each in found.origins]
    for kind, said in found.kinds.items():
        rows.append((f"kinds.{kind}.mapping", _below(said.mapping, project), "project"))
    rows.append(("mode in force", found.mode, "organization.mode and zoho.api_url"))
    screen.table(("setting", "value", "from"), rows)
    for note in found.notes:
        screen.line(f"note: {note}", style="yellow")
    screen.next_step("zohosync check")
    screen.result(
        {
            "settings": [{"name": n, "value": v, "source": s} for n, v, s in rows],
            "mode": found.mode,
            "notes": list(found.notes),
        }
    )
    return OK


def _below(path: Path, project: Path) -> str:
    return str(path.relative_to(project)) if path.is_relative_to(project) else str(path)


def clear_cache(screen: Screen, settings: "Settings") -> int:
    """`upkeep --clear-cache`: the kept lists are forgotten, the next question reads them anew."""
    return asyncio.run(_clear_cache(screen, settings))


async def _clear_cache(screen: Screen, settings: "Settings") -> int:
    from zohosync.bootstrap import open_database, organization_id
    from zohosync.store.catalog import OrgData

    async with open_database(settings) as database:
        cleared = await OrgData(database, organization_id(settings)).clear()
    what = f"Forgotten: Zoho's lists of {', '.join(cleared)}" if cleared else "Nothing was kept"
    screen.line(f"{what}.")
    screen.next_step("nothing: a list is read again when somebody needs it")
    screen.result({"cleared": cleared})
    return OK
