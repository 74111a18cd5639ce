"""The rehearsal: your rows and your mapping, the production engine, a pretend Zoho, virtual time.

Your database is read and nothing else; all that is written goes into a Postgres of the rehearsal's
own. The limits are those of the project's plan, and days of them pass in seconds.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from zohosync.bootstrap import open_database, open_service
from zohosync.clock import Chance, SystemClock
from zohosync.core.figures import span_words
from zohosync.core.kinds import KINDS, MAPPED
from zohosync.core.options import Secret
from zohosync.core.records import Ref
from zohosync.core.sections import Zoho
from zohosync.demo.furnish import fill, needed_of, stock, taxes_of
from zohosync.engine.passes import mark_all
from zohosync.errors import SettingsError
from zohosync.events import AttemptEnded, Event, Noted
from zohosync.sandbox import Sandbox, SandboxLimits
from zohosync.settings import Place, Settings
from zohosync.store.connection import Address, Connection
from zohosync.store.copies import (
    copied_mapping,
    copy_kind,
    read_linked,
    read_seen,
    write_linked,
)
from zohosync.store.database import Database, Row
from zohosync.store.embedded import EmbeddedPostgres
from zohosync.store.history import History
from zohosync.store.migrate import migrate
from zohosync.store.organizations import register_installation
from zohosync.store.source import Source
from zohosync.store.tapped import dial
from zohosync.testing.virtual import CURRENT_TIME, VirtualClock
from zohosync.testing.virtual import run as run_virtually
from zohosync.wiring import texts_of
from zohosync.zoho.door import in_process

Tell = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and of how much (0: not known)."""

NOWHERE = "http://127.0.0.1:1"
"""The address of the pretend Zoho: it is spoken to in this process, nothing listens there."""

POLL_S = 60.0
"""Virtual seconds between two looks whether all is done."""

HORIZON_S = 90_000.0
"""What comes due within 25 hours is waited for: a spent day's calls go on the next midnight."""

PACE = 60.0
"""How much rarer than usual the upkeep is: nothing dies in a rehearsal."""

LATENCY_S = (0.1, 0.6)
"""How long the pretend Zoho takes to answer."""

REHEARSED = "rehearsed"
"""The installation's name where the database has none of ours."""

SAMPLES = 5
"""How many names a note shows."""

OVER = ("synced", "skipped", "failed")
# What makes a server quick whose data nobody needs afterwards.
_SERVER = """
alter database postgres set jit = off;
alter database postgres set synchronous_commit = off;
alter database postgres set plan_cache_mode = force_generic_plan;
alter database postgres set max_parallel_workers_per_gather = 0
"""

RESTING = (*OVER, "waiting")


@dataclass(slots=True)
class Outcome:
    """What became of the rows of one kind."""

    rows: int = 0
    created: int = 0
    linked: int = 0
    failed: int = 0
    skipped: int = 0
    waiting: int = 0
    unsettled: int = 0
    """Keys that occur twice, and what was still on its way when nothing moved any more."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """A record that did not come into step, and why."""

    kind: str
    key: str
    status: str
    reason: str
    field: str | None
    waiting_on: str | None


@dataclass(slots=True)
class Report:
    """What the rehearsal found; times are the pretend Zoho's."""

    kinds: dict[str, Outcome] = field(default_factory=dict)
    stopped: list[Stopped] = field(default_factory=list)
    calls: int = 0
    hours: float = 0.0
    days: int = 0
    largest_minute: int = 0
    blocks: int = 0
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def calls_per_record(self) -> float:
        """Calls for each record that came into step, everything counted."""
        made = sum(each.created + each.linked for each in self.kinds.values())
        return round(self.calls / max(1, made), 2)


@dataclass(slots=True)
class Copy:
    """The project as the rehearsal holds it: rows copied, and what Zoho was seen to hold."""

    url: str
    rows: dict[str, int]
    seen: dict[str, list[Row]] | None
    installation: str | None
    linked: list[Row]
    notes: list[str]


def rehearse(settings: Settings, folder: Path, tell: Tell) -> Report:
    """Rehearse a whole backfill of the project; works in `folder`, and leaves it to be removed.

    Raises SettingsError, MappingError, DatabaseError: those of the project.
    """
    real = SystemClock()
    began = real.monotonic()
    if not settings.kinds:
        raise SettingsError(
            "There is no mapping to rehearse",
            place=str(settings.project / "mapping"),
            next_step="write mapping/customers.sql, or run `zohosync demo` without --project",
        )
    if settings.embedded and not settings.database.directory.exists():
        raise SettingsError(
            "The project names no database, and has none of its own yet",
            place="ZOHOSYNC_DATABASE_URL or [database] url",
            next_step="set ZOHOSYNC_DATABASE_URL to the database whose rows are to be rehearsed",
        )
    with EmbeddedPostgres(folder / "postgres", fsync=False) as postgres:
        copy = asyncio.run(_copied(settings, postgres.url(), tell))
        tell("setting up", 0, 0)
        report = run_virtually(lambda: _run(settings, copy, folder, tell))
    report.seconds = round(real.monotonic() - began, 1)
    return report


async def _copied(settings: Settings, url: str, tell: Tell) -> Copy:
    """Read the user's rows, and what compare saw; children first, so that no parent is missing."""
    zone, org_id = settings.organization.time_zone, settings.organization.id
    rows: dict[str, int] = {}
    async with open_database(settings, check_schema=False) as origin:
        source = await Source.open(
            origin, texts_of(settings), installation="", marker_field=None, time_zone=zone
        )
        target = await Database.open(url)
        try:
            await migrate(target)
            async with target.transaction() as transaction:
                await transaction.execute_sql(f"{CURRENT_TIME}; {_SERVER}")
            for kind in reversed(source.kinds):
                rows[kind] = await copy_kind(
                    origin, source.mapped(kind), target, time_zone=zone,
                    tell=_told(tell, kind),
                )  # fmt: skip
            seen = await read_seen(origin, org_id)
            installation, linked = await read_linked(origin, org_id)
        finally:
            await target.close()
    copy = Copy(url, rows, seen, installation, linked if seen else [], [])
    if seen is None:
        copy.notes.append("no compare has run: the pretend Zoho began empty")
    return copy


def _told(tell: Tell, kind: str) -> Callable[[int], None]:
    return lambda done: tell(f"{kind} copied", done, 0)


async def _run(settings: Settings, copy: Copy, folder: Path, tell: Tell) -> Report:
    """The rehearsal itself, all of it in virtual time."""
    began_at = SystemClock().now()
    clock = VirtualClock(began_at)
    database = await Database.open(copy.url, now=clock.now, dial=_dial)
    try:
        await register_installation(database, copy.installation or REHEARSED)
        sandbox = await _sandbox(settings, copy, database, clock)
        ours = _settings(settings, sandbox, folder)
        watcher = _Watcher(clock, sum(copy.rows.values()), tell)
        async with open_service(
            ours, clock=clock, chance=Chance(2), tell=watcher,
            transport=in_process(sandbox.app), pace=PACE, database=database,
        ) as house:  # fmt: skip
            if copy.seen is not None:
                await _furnish(sandbox, copy, database, house.project.org_id)
            asked = len(sandbox.ledger.calls())
            await mark_all(house.project.source, tuple(settings.kinds), lambda _kind, _n: None)
            await house.service.run_until_idle(asyncio.Event(), poll_s=POLL_S, horizon_s=HORIZON_S)
            history = History(database, house.project.org_id)
            counts, stopped = await history.counts(), await history.stopped()
    finally:
        await database.close()
    report = Report(notes=copy.notes + watcher.notes)
    report.kinds = _outcomes(copy.rows, counts, stopped, watcher.created)
    report.stopped = [_stopped(row) for row in stopped if not KINDS[row["kind"]].internal]
    ledger = sandbox.ledger
    report.calls, report.blocks = len(ledger.calls()) - asked, ledger.blocks
    report.largest_minute = ledger.largest_window()
    report.hours = round(watcher.last_s / 3600, 2)
    zone = ZoneInfo(settings.organization.time_zone)
    ended_at = began_at + timedelta(seconds=watcher.last_s)
    days = ended_at.astimezone(zone).date() - began_at.astimezone(zone).date()
    report.days = days.days + 1
    return report


async def _dial(address: Address) -> tuple[Connection, bool]:
    """A connection that blocks while the server works: in virtual time nothing else could run."""
    return await dial(address, _Tap())


class _Tap:
    """Listens in on nothing."""

    def dial(self) -> None: ...

    def before(self, statement: bytes) -> None: ...

    def after(self, statement: bytes) -> None: ...

    def broken(self, backend_pid: int) -> None: ...


async def _sandbox(
    settings: Settings, copy: Copy, database: Database, clock: VirtualClock
) -> Sandbox:
    """A pretend Zoho with the plan's limits, and with what the mapping takes for set up there."""
    organization, limits = settings.organization, settings.limits
    mapping = {kind: copied_mapping(kind) for kind in copy.rows}
    source = await Source.open(
        database, mapping, installation="", marker_field=None, time_zone=organization.time_zone
    )
    needed = await needed_of(source)
    sandbox = Sandbox(
        clock=clock, chance=Chance(1), organization_id=organization.id or "10001",
        name="Rehearsal", time_zone=organization.time_zone,
        currency=organization.currency or "ZAR", taxes=taxes_of(needed), latency_s=LATENCY_S,
        limits=SandboxLimits(
            per_minute=limits.per_minute, in_flight=limits.in_flight, per_day=limits.per_day
        ),
    )  # fmt: skip
    stock(sandbox, needed)
    if needed.taxes or needed.skus:
        named = ", ".join(sorted(needed.taxes | needed.skus)[:SAMPLES])
        copy.notes.append(f"taken for set up in Zoho: taxes and items by SKU ({named})")
    if needed.guessed:
        rates = ", ".join(sorted(needed.guessed))
        copy.notes.append(f"rates that are not known here were taken for 0 %: {rates}")
    return sandbox


async def _furnish(sandbox: Sandbox, copy: Copy, database: Database, org_id: str) -> None:
    """Let the pretend Zoho hold what compare saw, and the records be linked as they are."""
    filled = fill(sandbox, copy.seen or {})
    there = [
        {**row, "zoho_id": filled.ids[row["kind"], row["zoho_id"]]}
        for row in copy.linked
        if (row["kind"], row["zoho_id"]) in filled.ids
    ]
    await write_linked(database, org_id, there)
    copy.notes.append(
        f"the pretend Zoho began with {len(filled.ids):,} records that compare saw, {len(there):,} "
        "of them linked"
    )
    for kind, count in sorted(filled.refused.items()):
        copy.notes.append(f"{count:,} {kind} that compare saw do not fit into the pretend Zoho")


def _settings(settings: Settings, sandbox: Sandbox, folder: Path) -> Settings:
    """The project's own settings, between the copies and the pretend Zoho; nothing written back."""
    kinds = {}
    for kind, said in settings.kinds.items():
        file = folder / f"{kind}.sql"
        file.write_text(copied_mapping(kind), encoding="utf-8")
        kinds[kind] = replace(said, mapping=file, write_back={})
    return replace(
        settings,
        project=folder,
        organization=replace(settings.organization, id=sandbox.organization_id, mode="sandbox"),
        zoho=Zoho(
            client_id=sandbox.client_id,
            client_secret=Secret(sandbox.client_secret),
            refresh_token=Secret(sandbox.refresh_token),
            secret_key=Secret(""),
            api_url=NOWHERE,
            accounts_url=NOWHERE,
        ),
        worker=replace(settings.worker, lease_s=20.0, heartbeat_s=5.0, poll_s=300.0),
        database=Place(Secret(""), folder),
        kinds=kinds,
        watches=(),
    )


class _Watcher:
    """Listens to the engine: who was created, when the last attempt ended, how far it has come."""

    def __init__(self, clock: VirtualClock, total: int, tell: Tell) -> None:
        self.created: set[Ref] = set()
        self.last_s = 0.0
        self.notes: list[str] = []
        self._over: set[Ref] = set()
        self._clock, self._total, self._tell = clock, total, tell

    def __call__(self, event: Event) -> None:
        if isinstance(event, Noted) and event.level >= logging.ERROR:
            self.notes.append(event.message)
        if not isinstance(event, AttemptEnded):
            return
        if event.result == "created":
            self.created.add(event.ref)
        now_s = self._clock.monotonic()
        if event.status in OVER and not KINDS[event.ref.kind].internal:
            self._over.add(event.ref)
            self.last_s = now_s
        self._tell(f"{span_words(now_s)} of Zoho's time", len(self._over), self._total)


def _outcomes(
    rows: Mapping[str, int], counts: Sequence[Row], stopped: Sequence[Row], created: set[Ref]
) -> dict[str, Outcome]:
    """Count what became of each kind's rows."""
    done = created - {Ref(row["kind"], row["key"]) for row in stopped}
    outcomes = {kind: Outcome(rows=rows[kind]) for kind in MAPPED if kind in rows}
    for row in counts:
        outcome = outcomes.get(row["kind"])
        if outcome is None:
            continue
        if row["status"] == "synced":
            outcome.created = sum(ref.kind == row["kind"] for ref in done)
            outcome.linked = row["records"] - outcome.created
        elif row["status"] in RESTING:
            setattr(outcome, row["status"], row["records"])
    for outcome in outcomes.values():
        settled = outcome.created + outcome.linked + outcome.failed
        settled += outcome.skipped + outcome.waiting
        outcome.unsettled = max(0, outcome.rows - settled)
    return outcomes


def _stopped(row: Row) -> Stopped:
    parent = f"{row['waiting_kind']} {row['waiting_key']}" if row["waiting_kind"] else None
    reason = row["error_message"] or f"still {row['status']}"
    return Stopped(row["kind"], row["key"], row["status"], reason, row["error_field"], parent)
