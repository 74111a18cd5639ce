"""The verb health, and the doors through which a worker tells of its own."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zohosync.cli.screen import HERE, AsJson, ProjectDir, Screen, settings_of

if TYPE_CHECKING:
    import socket

    from zohosync.bootstrap import House
    from zohosync.core.health import Check, Health
    from zohosync.core.vitals import KindFigures
    from zohosync.dashboard.exposition import Exposition
    from zohosync.events import Event, Listener
    from zohosync.settings import Settings
    from zohosync.store.database import Database, Row

EXITS = (
    "Exit codes: 0 healthy, 1 degraded, 2 unhealthy (or the command or a setting is wrong), "
    "130 stopped by Ctrl-C."
)
CODES = {"healthy": 0, "degraded": 1, "unhealthy": 2}
STYLES = {"healthy": "green", "degraded": "yellow", "unhealthy": "red"}
MARKS = {"pass": "ok", "warn": "WARN", "fail": "FAIL"}


def health(
    project: ProjectDir = HERE,
    detailed: Annotated[
        bool, typer.Option("--detailed", help="Every check, with what it rests on.")
    ] = False,
    probe: Annotated[
        bool, typer.Option("--probe", help="Ask Zoho now: one reading call, two without a token.")
    ] = False,
    json: AsJson = False,
) -> int:
    """Whether all is well: database, workers, Zoho, the last 24 h, integrity, each kind.

    Spends no call without --probe. Exit code 0 healthy, 1 degraded, 2 unhealthy.
    """
    return asyncio.run(_health(Screen(json), settings_of(project), detailed=detailed, probe=probe))


async def _health(screen: Screen, settings: "Settings", *, detailed: bool, probe: bool) -> int:
    from zohosync.bootstrap import open_database
    from zohosync.core.health import stopped_at
    from zohosync.errors import DatabaseError

    noted = None
    try:
        async with open_database(settings, check_schema=False) as database:
            found, noted = await _look(settings, database, probe=probe)
    except DatabaseError as error:
        words = f"{error.what} ({error.place})" if error.place else error.what
        found = stopped_at("database", words, error.next_step)
    _say(screen, settings, found, noted, detailed=detailed)
    return CODES[found.state]


async def _look(
    settings: "Settings", database: "Database", *, probe: bool
) -> tuple["Health", "Row | None"]:
    """How it stands, and how it was judged last."""
    from dataclasses import replace

    from zohosync.checkup import health_of, probe_zoho
    from zohosync.clock import Chance, SystemClock
    from zohosync.core.health import stopped_at
    from zohosync.errors import SchemaError
    from zohosync.store.health import Vitals
    from zohosync.store.migrate import verify

    try:
        await verify(database)
    except SchemaError as error:
        return stopped_at("schema", error.what, error.next_step), None
    org_id = settings.organization.id
    if org_id is None:
        words = "no Zoho organisation is named in the settings"
        return stopped_at("organisation", words, "zohosync login"), None
    found = await health_of(settings, database, org_id)
    if probe and any(check.name == "api" for check in found.checks):
        told = await probe_zoho(settings, database, org_id, clock=SystemClock(), chance=Chance())
        checks = (told if check.name == "api" else check for check in found.checks)
        found = replace(found, checks=tuple(checks))
    return found, await Vitals(database, org_id).noted()


def _say(
    screen: Screen,
    settings: "Settings",
    found: "Health",
    noted: Mapping[str, Any] | None,
    *,
    detailed: bool,
) -> None:
    from zohosync.core.figures import span_words

    since_s = noted["since_s"] if noted and noted["state"] == found.state else None
    since = f" for {span_words(since_s)}" if since_s is not None else ""
    org_id = settings.organization.id or "none"
    screen.line(f"{found.state.upper()}{since}: organisation {org_id}", STYLES[found.state])
    # Whoever has Zoho asked wants to hear what it said.
    asked = [check for check in found.checks if check.evidence.get("asked") == "now"]
    brief = [*found.troubles, *(check for check in asked if check not in found.troubles)]
    for check in found.checks if detailed else brief:
        _say_check(screen, check, detailed=detailed)
    if not detailed and not found.troubles:
        screen.line(f"all {len(found.checks)} checks passed (--detailed shows them)")
    if found.kinds:
        rows = [_row(figures) for figures in found.kinds]
        names = (
            "kind", "total", "eligible", "synced", "%", "pending", "waiting", "failed",
            "uncertain", "skipped", "oldest due",
        )  # fmt: skip
        # A state in which nothing is takes no room.
        told = [at for at in range(len(names)) if at < 5 or any(row[at] for row in rows)]
        screen.table([names[at] for at in told], [[row[at] for at in told] for row in rows])
    worst = next((check.mend for check in found.troubles if check.mend), None)
    screen.next_step(worst or "nothing: all is well")
    screen.result(
        {
            "state": found.state, "organization": settings.organization.id, "since_s": since_s,
            "checks": [{**asdict(check), "verdict": str(check.verdict)} for check in found.checks],
            "kinds": {
                figures.kind: {
                    **asdict(figures), "eligible": figures.eligible,
                    "sync_rate": figures.sync_rate,
                }
                for figures in found.kinds
            },
        }
    )  # fmt: skip


def _say_check(screen: Screen, check: "Check", *, detailed: bool) -> None:
    style = {"warn": "yellow", "fail": "red"}.get(check.verdict)
    mend = f" -> {check.mend}" if check.mend else ""
    screen.line(f"  {MARKS[check.verdict]:<5}{check.name:<13}{check.words}{mend}", style)
    if detailed and check.evidence:
        told = ", ".join(f"{name} {_short(value)}" for name, value in check.evidence.items())
        screen.line(f"       {'':<13}{told}", "dim")


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.1f}"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    if isinstance(value, dict):
        return ", ".join(f"{name} {each}" for name, each in value.items()) or "-"
    return "-" if value is None else str(value)


def _row(figures: "KindFigures") -> tuple[Any, ...]:
    from zohosync.core.figures import span_words

    rate = "" if figures.sync_rate is None else f"{figures.sync_rate:g}"
    late = "" if figures.overdue_s is None else span_words(figures.overdue_s)
    overdue = f"{late.removeprefix('about ')} ago" if late else ""
    return (
        figures.kind, figures.total, figures.eligible, figures.synced, rate, figures.pending,
        figures.waiting, figures.failed, figures.uncertain, figures.skipped, overdue,
    )  # fmt: skip


@dataclass(slots=True)
class Doors:
    """A worker's doors; `listener` None: it has none."""

    listener: "socket.socket | None" = None
    exposition: "Exposition | None" = None

    def told(self, tell: "Listener") -> "Listener":
        """Both told: `tell`, and what is shown at /metrics."""
        shown = self.exposition
        if shown is None:
            return tell

        def both(event: "Event") -> None:
            tell(event)
            shown(event)

        return both

    @asynccontextmanager
    async def open(
        self, house: "House", stop: asyncio.Event, *, tell: Callable[[str], None]
    ) -> AsyncIterator[None]:
        """Serve them while the block runs."""
        if self.listener is None or self.exposition is None:
            yield
            return
        from zohosync.dashboard.doors import pages_of, serving
        from zohosync.store.metrics import Metrics

        clock = house.service.clock
        metrics = Metrics(house.project.database, house.project.org_id)
        texts = {"/metrics": partial(self.exposition.text, metrics)}
        pages = pages_of(house.project, stop, clock=clock, texts=texts)
        async with serving(self.listener, pages, clock=clock) as address:
            tell(f"Serving {', '.join(pages)} at {address}")
            yield


@contextmanager
def doors_of(settings: "Settings") -> Iterator[Doors]:
    """The doors that the settings want, listening before any work begins.

    Raises SettingsError when the port is in use.
    """
    if settings.worker.http is None:
        yield Doors()
        return
    from zohosync.dashboard.doors import listen
    from zohosync.dashboard.exposition import Exposition

    listener = listen(settings.worker.http)
    with listener:
        yield Doors(listener, Exposition(settings.targets))
