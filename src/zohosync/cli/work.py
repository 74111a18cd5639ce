"""The verbs that work: run, backfill, retry, pause, resume."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zohosync.cli.foresee import rehearse_kinds
from zohosync.cli.screen import (
    FAILED,
    HERE,
    INTERRUPTED,
    OK,
    AsJson,
    Kinds,
    ProjectDir,
    Screen,
    Told,
    answering,
    kinds_of,
    settings_of,
    stopping,
)

if TYPE_CHECKING:
    from zohosync.bootstrap import House, Project
    from zohosync.engine.passes import Look
    from zohosync.settings import Settings
    from zohosync.store.history import History
    from zohosync.store.organizations import Registered

LOOK_EVERY_S = 1.0


def run(
    project: ProjectDir = HERE,
    until_idle: Annotated[
        bool, typer.Option("--until-idle", help="Stop when nothing is left that moves by itself.")
    ] = False,
    slots: Annotated[
        int | None, typer.Option(help="Records worked on at once; the limits hold regardless.")
    ] = None,
    json: AsJson = False,
) -> int:
    """Work: bring what changed into step, until stopped.

    The first Ctrl-C or SIGTERM lets what is under way come to its end (at most 35 s, and a little
    more where the database does not answer) and loses nothing; a second one ends at once, and is
    safe too.
    """
    screen = Screen(json)
    settings = settings_of(project, {"worker.slots": slots})
    return asyncio.run(_run(screen, settings, until_idle=until_idle))


async def _run(screen: Screen, settings: "Settings", *, until_idle: bool) -> int:
    from zohosync.bootstrap import open_service
    from zohosync.clock import Chance, SystemClock
    from zohosync.store.history import History

    clock, told = SystemClock(), Told(screen)
    stop = asyncio.Event()
    with stopping(stop, screen.line) as signals:
        async with open_service(settings, clock=clock, chance=Chance(), tell=told) as house:
            history = History(house.project.database, house.project.org_id)
            screen.line(
                f"Working on organisation {house.project.org_id} ({settings.mode}) as "
                f"{house.project.worker}, limits {settings.limits_plan}"
            )
            _warn_of_paused(screen, house.project.organization, settings.kinds)
            await _work(screen, house, history, stop, until_idle=until_idle)
            async with answering(clock, house.project.database.place):
                summary = await _summary(history, told)
    return _said(screen, summary, signals)


def _said(screen: Screen, summary: dict[str, Any], signals: Sequence[str]) -> int:
    summary["stopped_by"] = signals[0] if signals else None
    screen.line(
        f"{summary['attempts']:,} attempts, {summary['calls']:,} calls; "
        f"{summary['failed']:,} failed, {summary['waiting']:,} waiting, "
        f"{summary['moving']:,} still on their way"
    )
    if summary["paused"]:
        screen.line(f"Paused: {summary['paused']}", style="red")
        screen.next_step("mend that (zohosync login), then zohosync resume KIND")
    elif summary["failed"] or summary["waiting"]:
        screen.next_step("zohosync status (reasons, each with a sample key)")
    else:
        screen.next_step("zohosync status")
    screen.result(summary)
    if "SIGINT" in signals:
        return INTERRUPTED
    return FAILED if summary["paused"] else OK


async def _work(
    screen: Screen, house: "House", history: "History", stop: asyncio.Event, *, until_idle: bool
) -> None:
    """Run the service, and show how it goes as long as it runs."""
    over = asyncio.Event()

    async def work() -> None:
        try:
            if until_idle:
                await house.service.run_until_idle(stop)
            else:
                await house.service.run(stop)
        finally:
            over.set()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(work())
        shown = tasks.create_task(_show(screen, house.project, history, house.service.clock, over))
        await over.wait()
        shown.cancel()


async def _show(
    screen: Screen, project: "Project", history: "History", clock: Any, over: asyncio.Event
) -> None:
    from zohosync.engine.passes import looks
    from zohosync.errors import DatabaseError
    from zohosync.store.usage import Usage

    usage = Usage(project.database, project.org_id)
    with screen.progress("in step") as meter:
        while not over.is_set():
            try:
                async for look in looks(
                    history, usage, clock=clock, every_s=LOOK_EVERY_S, until=over
                ):
                    if look.total:
                        meter(look.done, look.total, _note(look))
            except DatabaseError:  # the worker says so already, and waits for it
                await clock.sleep(LOOK_EVERY_S)


def _note(look: "Look") -> str:
    from zohosync.core.figures import span_words

    words = [f"{look.calls_today:,} calls today"]
    if look.progress.failed:
        words.append(f"{look.progress.failed:,} failed")
    if look.progress.waiting:
        words.append(f"{look.progress.waiting:,} waiting")
    if look.closed_for_s is not None and look.closed_for_s > 0:
        words.append(f"closed for {span_words(look.closed_for_s)}: {look.closed_reason}")
    if look.eta_s is not None and look.done < look.total:
        words.append(f"{span_words(look.eta_s)} left")
    return ", ".join(words)


async def _summary(history: "History", told: Told) -> dict[str, Any]:
    progress = await history.progress()
    organization = await history.organization() or {}
    return {
        "paused": organization.get("paused"),
        "attempts": told.attempts,
        "calls": told.calls,
        "moving": progress.moving,
        "failed": progress.failed,
        "waiting": progress.waiting,
        "kinds": {kind: dict(counts) for kind, counts in progress.by_kind.items()},
    }


def _warn_of_paused(screen: Screen, organization: "Registered", mapped: Collection[str]) -> None:
    if organization.paused:
        screen.line(f"Paused: {organization.paused}", style="red")
    closed = [kind for kind in organization.paused_kinds if kind in mapped]
    if closed:
        screen.line(f"Paused: {', '.join(closed)} (zohosync resume KIND opens one)", style="yellow")


def backfill(
    kinds: Kinds = None,
    project: ProjectDir = HERE,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Plan each record and say what it would cost.")
    ] = False,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Mark, and leave the work to the workers.")
    ] = False,
    json: AsJson = False,
) -> int:
    """Bring every row of these kinds into step: marks them, then shows the way.

    Works itself unless a worker is alive elsewhere. Rows that are in step cost no call.
    """
    screen = Screen(json)
    settings = settings_of(project)
    chosen = kinds_of(kinds, tuple(settings.kinds))
    if dry_run:
        return asyncio.run(rehearse_kinds(screen, settings, chosen))
    return asyncio.run(_backfill(screen, settings, chosen, wait=not no_wait))


async def _backfill(
    screen: Screen, settings: "Settings", kinds: tuple[str, ...], *, wait: bool
) -> int:
    from zohosync.bootstrap import open_project
    from zohosync.clock import Chance, SystemClock
    from zohosync.engine.passes import mark_all
    from zohosync.store.history import History

    clock = SystemClock()
    async with open_project(settings, chance=Chance()) as project:
        history = History(project.database, project.org_id)
        with screen.progress("marked") as meter:
            marked = await mark_all(project.source, kinds, lambda kind, n: meter(n, None, kind))
        for kind, count in marked.items():
            screen.line(f"marked {count:,} {kind}")
        _warn_of_paused(screen, project.organization, kinds)
        others = await history.alive()
        if not wait:
            screen.next_step("zohosync run" if not others else "zohosync status")
            screen.result({"marked": marked, "workers": len(others)})
            return OK
        if others:
            screen.line(f"{len(others)} workers are at it: {others[0]['worker']} …")
            return await _watch(screen, project, history, clock, marked)
        stop = asyncio.Event()
        told = Told(screen)
        from zohosync.bootstrap import open_service

        with stopping(stop, screen.line) as signals:
            async with open_service(settings, clock=clock, chance=Chance(), tell=told) as house:
                await _work(screen, house, history, stop, until_idle=True)
                async with answering(clock, house.project.database.place):
                    summary = await _summary(history, told)
    return _said(screen, {"marked": marked, **summary}, signals)


async def _watch(
    screen: Screen, project: "Project", history: "History", clock: Any, marked: dict[str, int]
) -> int:
    """Show the work that other processes do, until nothing is left that moves by itself."""
    from zohosync.engine.service import IDLE_HORIZON_S

    stop, over = asyncio.Event(), asyncio.Event()
    with stopping(stop, lambda _: None) as signals:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_show(screen, project, history, clock, over))
            while not stop.is_set():
                left = await project.records.unsettled(IDLE_HORIZON_S)
                if not any(left.get(name, 0) for name in ("marks", "leased", "due")):
                    break
                if not await history.alive():
                    screen.line("the workers are gone", style="yellow")
                    break
                await clock.sleep(LOOK_EVERY_S)
            over.set()
    return _said(screen, {"marked": marked, **await _summary(history, Told(screen))}, signals)


def retry(
    kind: Annotated[str, typer.Argument(metavar="KIND", show_default=False)],
    key: Annotated[str | None, typer.Argument(metavar="[KEY]", show_default=False)] = None,
    project: ProjectDir = HERE,
    json: AsJson = False,
) -> int:
    """Try failed records again with the rows as they are now."""
    screen = Screen(json)
    settings = settings_of(project)
    kinds_of([kind], tuple(settings.kinds))
    return asyncio.run(_retry(screen, settings, kind, key))


async def _retry(screen: Screen, settings: "Settings", kind: str, key: str | None) -> int:
    from zohosync.bootstrap import open_database, organization_id
    from zohosync.store.history import History

    async with open_database(settings) as database:
        history = History(database, organization_id(settings))
        marked = await history.retry(kind, key)
        alive = len(await history.alive())
    what = kind if key is None else f"{kind} {key}"
    screen.line(f"{what}: {marked:,} failed records are tried again")
    if not marked and key is not None:
        screen.next_step(f"zohosync why {kind} {key}")
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
    kinds: Annotated[list[str], typer.Argument(metavar="KIND...", show_default=False)],
    project: ProjectDir = HERE,
    *,
    why: Annotated[str, typer.Option(help="The reason, for the audit.")] = "by hand",
    assume_empty: Annotated[
        bool,
        typer.Option(
            "--assume-empty", help="You have seen that Zoho holds no records of these kinds."
        ),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Agree to what a braked kind would do.")
    ] = False,
    json: AsJson = False,
) -> int:
    """Work on these kinds (again). On a real organisation every kind starts paused.

    Of a kind that the brake stopped it lists what would happen, and asks.
    """
    settings = settings_of(project)
    chosen = kinds_of(kinds, tuple(settings.kinds))
    why = f"{why} (assumed empty)" if assume_empty else why
    sure = assume_empty or settings.mode == "sandbox"
    return asyncio.run(_resume(Screen(json), settings, chosen, why=why, sure=sure, yes=yes))


async def _resume(
    screen: Screen, settings: "Settings", kinds: tuple[str, ...], *, why: str, sure: bool, yes: bool
) -> int:
    from zohosync.bootstrap import open_database, organization_id
    from zohosync.cli.braked import agreed_on
    from zohosync.store.organizations import read_organization

    async with open_database(settings) as database:
        organization = await read_organization(database, organization_id(settings)) or {}
    braked = [kind for kind in kinds if kind in organization.get("brakes", {})]
    if not braked:
        return await _switch(screen, settings, kinds, pause=False, why=why, sure=sure)
    keys, listed, code = await agreed_on(screen, settings, braked, yes=yes)
    if code is not None:
        return code
    return await _switch(
        screen, settings, kinds, pause=False, why=why, sure=sure, agreed=keys, listed=listed
    )


async def _switch(
    screen: Screen,
    settings: "Settings",
    kinds: tuple[str, ...],
    *,
    pause: bool,
    why: str,
    sure: bool = True,
    agreed: Mapping[str, Sequence[str]] | None = None,
    listed: Mapping[str, Any] | None = None,
) -> int:
    from zohosync.bootstrap import open_database, organization_id
    from zohosync.errors import SettingsError
    from zohosync.store.brakes import Brakes
    from zohosync.store.history import History
    from zohosync.store.organizations import pause_kinds

    async with open_database(settings) as database:
        history = History(database, organization_id(settings))
        counts = await history.counts()
        linked = {row["kind"] for row in counts if row["linked"]}  # these were open before
        doubtful = [kind for kind in kinds if kind not in linked]
        if doubtful and not sure:
            raise SettingsError(
                f"Opening {', '.join(doubtful)} on a {settings.mode} organisation could make "
                "records a second time that Zoho already holds: nothing has compared the two yet",
                next_step="look in Zoho; if it holds none of these, say --assume-empty",
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
