"""The verbs that work: run, backfill."""

import asyncio
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zohosync.cli.foresee import rehearse_kinds
from zohosync.cli.health import doors_of
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
    from zohosync.engine.canary import Canary
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
    http: Annotated[
        str | None,
        typer.Option(
            metavar="[HOST:]PORT",
            help="Serve /healthz, /readyz and /metrics there; not by default.",
        ),
    ] = None,
    json: AsJson = False,
) -> int:
    """Work: bring what changed into step, until stopped.

    The first Ctrl-C or SIGTERM lets what is under way come to its end (at most 35 s, and a little
    more where the database does not answer) and loses nothing; a second one ends at once, and is
    safe too.
    """
    screen = Screen(json)
    settings = settings_of(project, {"worker.slots": slots, "worker.http": http})
    return asyncio.run(_run(screen, settings, until_idle=until_idle))


async def _run(screen: Screen, settings: "Settings", *, until_idle: bool) -> int:
    from zohosync.bootstrap import open_service
    from zohosync.clock import Chance, SystemClock
    from zohosync.store.history import History
    from zohosync.wiring import settle_memory

    clock, told = SystemClock(), Told(screen)
    stop = asyncio.Event()
    with doors_of(settings) as doors, stopping(stop, screen.line) as signals:
        async with open_service(
            settings, clock=clock, chance=Chance(), tell=doors.told(told)
        ) as house:
            history = History(house.project.database, house.project.org_id)
            screen.line(
                f"Working on organisation {house.project.org_id} ({settings.mode}) as "
                f"{house.project.worker}, limits {settings.limits_plan}"
            )
            _warn_of_paused(screen, house.project.organization, settings.kinds)
            settle_memory()
            async with doors.open(house, stop, tell=screen.line):
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
        screen.next_step("mend that (zohosync login), then zohosync resume")
    elif "rows" in summary:
        from zohosync.cli import canary

        code = canary.tell(screen, summary["rows"])
        screen.result(summary)
        return INTERRUPTED if "SIGINT" in signals else code
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


async def _summary(history: "History", told: Told, first: "Canary | None" = None) -> dict[str, Any]:
    from zohosync.cli import canary

    progress = await history.progress()
    organization = await history.organization() or {}
    rows = None if first is None else await canary.outcome(history, first)
    return {
        **({} if rows is None else {"rows": rows}),
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


def backfill(  # noqa: PLR0917 - options are not positional on a command line
    kinds: Kinds = None,
    project: ProjectDir = HERE,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Plan each record and say what it would cost.")
    ] = False,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Mark, and leave the work to the workers.")
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(min=1, max=1_000, help="Only the first so many rows of each kind: a canary."),
    ] = None,
    json: AsJson = False,
) -> int:
    """Bring every row of these kinds (without one, of all) into step, and show how far it is.

    Works itself unless a worker is alive elsewhere. Rows that are in step cost no call. With
    --limit it tells what became of each of those rows; exit code 1 when one is not in step.
    """
    from zohosync.errors import SettingsError

    screen = Screen(json)
    settings = settings_of(project)
    chosen = kinds_of(kinds, tuple(settings.kinds))
    if dry_run and limit is not None:
        step = "zohosync plan KIND KEY shows one row, field by field"
        raise SettingsError("--limit and --dry-run do not go together", next_step=step)
    if dry_run:
        return asyncio.run(rehearse_kinds(screen, settings, chosen))
    return asyncio.run(_backfill(screen, settings, chosen, wait=not no_wait, limit=limit))


async def _backfill(
    screen: Screen, settings: "Settings", kinds: tuple[str, ...], *, wait: bool, limit: int | None
) -> int:
    from zohosync.bootstrap import confirm, open_project
    from zohosync.cli.canary import mark
    from zohosync.clock import Chance, SystemClock
    from zohosync.store.comparisons import Comparisons
    from zohosync.store.history import History

    clock = SystemClock()
    async with open_project(settings, chance=Chance()) as project:
        history = History(project.database, project.org_id)
        compared = Comparisons(project.database, project.org_id, project.worker)
        for kind in kinds if limit is None else ():
            if apart := await compared.resend(kind):
                screen.line(f"{apart:,} {kind} that differed in Zoho are sent as they are here")
        if not project.organization.active:
            await confirm(settings, clock=clock, chance=Chance())
        marked, first = await mark(screen, project, history, kinds, limit)
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
            return await _watch(screen, project, history, clock, marked, first=first)
        stop = asyncio.Event()
        told = Told(screen)
        from zohosync.bootstrap import open_service

        with stopping(stop, screen.line) as signals:
            async with open_service(settings, clock=clock, chance=Chance(), tell=told) as house:
                await _work(screen, house, history, stop, until_idle=True)
                async with answering(clock, house.project.database.place):
                    summary = await _summary(history, told, first)
    return _said(screen, {"marked": marked, **summary}, signals)


async def _watch(
    screen: Screen, project: "Project", history: "History", clock: Any, marked: dict[str, int],
    *, first: "Canary | None",
) -> int:  # fmt: skip
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
    summary = await _summary(history, Told(screen), first)
    return _said(screen, {"marked": marked, **summary}, signals)
