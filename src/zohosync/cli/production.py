"""`zohosync check --production`: the guide's checklist, run against the live installation."""

import shutil
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from zohosync.cli.screen import FAILED, OK, Screen

if TYPE_CHECKING:
    from zohosync.core.production import Found, Mind
    from zohosync.settings import Settings
    from zohosync.store.database import Database

BY_HAND = (
    "What no check can see: a run with a load like production's (zohosync demo --project .), and "
    "whether somebody reads the alerts."
)


async def check_production(screen: Screen, settings: "Settings") -> int:
    """Tell each item with its evidence and what mends it; FAILED when one fails. Spends no call."""
    from zohosync.core.production import counts, judge

    found = await _found(screen, settings)
    items = judge(_mind(settings), found)
    for item in items:
        mark, style = ("pass", "green") if item.ok else ("FAIL", "red")
        screen.line(f"{mark}  {item.name}: {item.evidence}", style=None if item.ok else style)
        if not item.ok:
            screen.line(f"      → {item.next_step}")
    told = counts(items)
    screen.line()
    screen.line(f"{told['passed']} pass, {told['failed']} fail. {BY_HAND}")
    first = next((item.next_step for item in items if not item.ok), None)
    screen.next_step(first or "zohosync run")
    screen.result({"ok": not told["failed"], **told, "items": [asdict(item) for item in items]})
    return FAILED if told["failed"] else OK


def _mind(settings: "Settings") -> "Mind":
    from zohosync.core.production import Mind
    from zohosync.engine.alerts import Channels, is_address

    zoho = settings.zoho
    channels = Channels.of(settings.alerts.channels)
    said = {origin.name: origin.source for origin in settings.origins}
    return Mind(
        plan=settings.limits_plan,
        mode=settings.mode,
        limits=settings.limits,
        work=settings.worker,
        caches=settings.caches,
        org_id=settings.organization.id,
        time_zone=settings.organization.time_zone,
        zone_said=said["organization.time_zone"] != "default",
        credentials=bool(zoho.client_id and zoho.client_secret and zoho.refresh_token),
        channels=len(channels.names),
        unreadable=sum(not is_address(url) for url in channels.urls.values()),
        kinds=tuple(settings.kinds),
        write_back=tuple(kind for kind, each in settings.kinds.items() if each.write_back),
    )


async def _found(screen: Screen, settings: "Settings") -> "Found":
    from zohosync.bootstrap import open_database
    from zohosync.core.production import Found
    from zohosync.errors import SchemaError
    from zohosync.store.migrate import verify

    # First what is there, then the mapping: its check makes the settings those in force.
    async with open_database(settings, check_schema=False) as database:
        try:
            await verify(database)
        except SchemaError as error:
            return Found(schema=error.what, faults=await _faults(screen, settings))
        seen = await _seen(settings, database)
    return Found(faults=await _faults(screen, settings), **seen)


async def _seen(settings: "Settings", database: "Database") -> dict[str, Any]:
    """What the database and this machine show."""
    from zohosync.clock import SystemClock
    from zohosync.store.alerts import AlertBook
    from zohosync.store.capture import missing_watches
    from zohosync.store.history import History
    from zohosync.store.inspection import Readiness
    from zohosync.wiring import watches_of

    org_id = settings.organization.id or ""
    looking = Readiness(database, org_id, _mint_key(settings))
    alive = await History(database, org_id).alive()
    seen: dict[str, Any] = {
        "unwatched": await missing_watches(database, watches_of(settings)),
        "unused": await looking.unused(),
        "clock_off_s": await looking.clock_off_s(SystemClock()),
        "workers": len(alive),
        "seen_s": min((row["seen_s"] for row in alive), default=None),
        "write_back": await _write_back(settings, database),
        "free_bytes": _free_bytes(settings),
    }
    row = await looking.facts()
    if row is None:
        return seen
    unsent = await AlertBook(database, org_id).unsent()
    return {
        **seen,
        **{name: row[name] for name in _SAME},
        "limits": _limits(row["limits"]),
        "undelivered": [each["error"] for each in unsent if each["error"]],
        "mint": row["mint_outcome"]
        and f"{_MINTED.get(row['mint_outcome'], row['mint_outcome'])}, "
        f"{row['mint_at']:%Y-%m-%d %H:%M} UTC",
        "mint_good": row["mint_outcome"] == "found",
        "days": await looking.days(row["yesterday"]),
    }


_MINTED = {"found": "granted"}
_SAME = (
    "mode", "time_zone", "paused", "paused_kinds", "indexes", "yesterday", "first_day", "metrics",
    "refused", "size_bytes",
)  # fmt: skip


def _mint_key(settings: "Settings") -> str:
    from zohosync.errors import SettingsError
    from zohosync.wiring import credentials_of

    try:
        return credentials_of(settings).token_key()
    except SettingsError:
        return ""


def _limits(told: Any) -> Any:
    from zohosync.core.governor import limits_of

    try:
        return limits_of(told)
    except ValueError:
        return None


async def _write_back(settings: "Settings", database: "Database") -> str | None:
    """Why the write-back will not do, None where it will or is not asked for."""
    from zohosync.errors import SettingsError
    from zohosync.store.writeback import WriteBack
    from zohosync.wiring import write_back_of

    try:
        await WriteBack.open(database, write_back_of(settings), org_id="")
    except SettingsError as error:
        return error.what
    return None


def _free_bytes(settings: "Settings") -> int | None:
    if not settings.embedded:
        return None
    there = settings.database.directory
    return shutil.disk_usage(next(each for each in (there, *there.parents) if each.exists())).free


async def _faults(screen: Screen, settings: "Settings") -> list[str]:
    """What `zohosync check` finds, in words."""
    from zohosync.bootstrap import open_trial
    from zohosync.clock import Chance
    from zohosync.engine.passes import examine
    from zohosync.store.inspection import Inspection
    from zohosync.wiring import watches_of

    async with open_trial(settings, chance=Chance()) as trial:
        with screen.progress("rows checked") as meter:
            found = await examine(
                trial.source,
                Inspection(trial.database),
                watches_of(settings),
                rehearser=trial.rehearser,
                tell=lambda kind, done: meter(done, None, kind),
            )
        return [str(each) for each in (*trial.faults, *found) if not each.note]
