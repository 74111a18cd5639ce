"""The verbs that steer the workers: retry, pause, resume."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zohosync.cli.screen import (
    HERE,
    OK,
    AsJson,
    Kinds,
    ProjectDir,
    Screen,
    kinds_of,
    settings_of,
)

if TYPE_CHECKING:
    from zohosync.settings import Settings


def retry(
    kind: Annotated[str, typer.Argument(metavar="KIND", show_default=False)],
    key: Annotated[str | None, typer.Argument(metavar="[KEY]", show_default=False)] = None,
    project: ProjectDir = HERE,
    json: AsJson = False,
) -> int:
    """Try failed records again with the rows as they are now."""
    from zohosync.core.kinds import INTERNAL

    screen = Screen(json)
    settings = settings_of(project)
    kinds_of([kind], (*settings.kinds, *INTERNAL))
    return asyncio.run(_retry(screen, settings, kind, key))


async def _retry(screen: Screen, settings: "Settings", kind: str, key: str | None) -> int:
    from zohosync.bootstrap import open_database, organization_id
    from zohosync.core.records import Ref
    from zohosync.store.history import History

    async with open_database(settings) as database:
        history = History(database, organization_id(settings))
        marked = await history.retry(kind, key)
        alive = len(await history.alive())
    what = kind if key is None else f"{kind} {key}"
    screen.line(f"{what}: {marked:,} failed records are tried again")
    if not marked and key is not None:
        screen.next_step(f"zohosync why {Ref(kind, key).arguments}")
    else:
        screen.next_step("zohosync status" if alive or not marked else "zohosync run --until-idle")
    screen.result({"kind": kind, "key": key, "marked": marked})
    return OK


def pause(
    kinds: Annotated[list[str], typer.Argument(metavar="KIND...", show_default=False)],
    project: ProjectDir = HERE,
    why: Annotated[str, typer.Option(help="The reason, for the audit.")] = "by hand",
    json: AsJson = False,
) -> int:
    """Stop working on these kinds; what changes meanwhile is remembered."""
    settings = settings_of(project)
    chosen = kinds_of(kinds, tuple(settings.kinds))
    return asyncio.run(_switch(Screen(json), settings, chosen, pause=True, why=why))


def resume(
    kinds: Kinds = None,
    project: ProjectDir = HERE,
    *,
    why: Annotated[str, typer.Option(help="The reason, for the audit.")] = "by hand",
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Agree to what a braked kind would do.")
    ] = False,
    json: AsJson = False,
) -> int:
    """Go on: let calls leave again, and work on the kinds that are named (without one, as before).

    On a real organisation every kind starts paused. On a live one it opens only after `zohosync
    compare` of that kind has finished. Of a kind that the brake stopped it lists what would
    happen, and asks.
    """
    screen, settings = Screen(json), settings_of(project)
    if not kinds:
        return asyncio.run(_open(screen, settings, why=why))
    chosen = kinds_of(kinds, tuple(settings.kinds))
    return asyncio.run(_resume(screen, settings, chosen, why=why, yes=yes))


async def _open(screen: Screen, settings: "Settings", *, why: str) -> int:
    """The organisation as a whole goes on; its kinds stay as they are."""
    from zohosync.bootstrap import open_database, organization_id
    from zohosync.store.comparisons import Comparisons
    from zohosync.store.history import History
    from zohosync.store.organizations import pause_kinds, read_organization

    async with open_database(settings) as database:
        org_id = organization_id(settings)
        was = (await read_organization(database, org_id) or {}).get("paused")
        paused = await pause_kinds(database, org_id, (), pause=False, why=why)
        history = History(database, org_id)
        await history.wake([kind for kind in settings.kinds if kind not in paused])
        compared = await Comparisons(database, org_id, "cli").newest()
        alive = await history.alive()
    resting = [kind for kind in settings.kinds if kind in paused]
    screen.line(f"Open again; it was paused: {was}" if was else "It was not paused as a whole.")
    screen.line(f"paused now: {', '.join(resting) or 'nothing'}")
    doubtful = [kind for kind in resting if kind not in compared and settings.mode == "live"]
    if resting:
        verb = f"compare {' '.join(doubtful)}" if doubtful else f"resume {' '.join(resting)}"
        screen.next_step(f"zohosync {verb}")
    else:
        screen.next_step("zohosync status" if alive else "zohosync run")
    screen.result({"paused": list(paused), "was_paused": was})
    return OK


async def _resume(
    screen: Screen, settings: "Settings", kinds: tuple[str, ...], *, why: str, yes: bool
) -> int:
    from zohosync.bootstrap import open_database, organization_id
    from zohosync.cli.braked import agreed_on
    from zohosync.store.organizations import read_organization

    async with open_database(settings) as database:
        organization = await read_organization(database, organization_id(settings)) or {}
    braked = [kind for kind in kinds if kind in organization.get("brakes", {})]
    if not braked:
        return await _switch(screen, settings, kinds, pause=False, why=why)
    keys, listed, code = await agreed_on(screen, settings, braked, yes=yes)
    if code is not None:
        return code
    return await _switch(screen, settings, kinds, pause=False, why=why, agreed=keys, listed=listed)


async def _switch(
    screen: Screen,
    settings: "Settings",
    kinds: tuple[str, ...],
    *,
    pause: bool,
    why: str,
    agreed: Mapping[str, Sequence[str]] | None = None,
    listed: Mapping[str, Any] | None = None,
) -> int:
    from zohosync.bootstrap import open_database, organization_id
    from zohosync.errors import SettingsError
    from zohosync.store.brakes import Brakes
    from zohosync.store.comparisons import Comparisons
    from zohosync.store.history import History
    from zohosync.store.organizations import pause_kinds

    async with open_database(settings) as database:
        history = History(database, organization_id(settings))
        compared = await Comparisons(database, organization_id(settings), "cli").newest()
        doubtful = [kind for kind in kinds if kind not in compared]
        if doubtful and not pause and settings.mode == "live":
            raise SettingsError(
                f"Opening {', '.join(doubtful)} on a live organisation could make records a second "
                "time that Zoho already holds: nothing has compared the two yet",
                next_step=f"zohosync compare {' '.join(doubtful)}",
            )
        org_id, agreed = organization_id(settings), agreed or {}
        rest = [kind for kind in kinds if kind not in agreed]
        paused: tuple[str, ...] = ()
        if rest:
            paused = await pause_kinds(database, org_id, rest, pause=pause, why=why)
        for kind, keys in agreed.items():  # what was listed is let through, and no more
            paused = await Brakes(database, org_id).release(kind, keys, why=why)
        if not pause:
            await history.wake(kinds)
    mapped = [kind for kind in settings.kinds if kind in paused]
    screen.line(f"paused now: {', '.join(mapped) or 'nothing'}")
    screen.next_step("zohosync status" if pause else "zohosync run, or zohosync backfill KIND")
    screen.result({"paused": list(paused), **({"let_through": listed} if listed else {})})
    return OK
