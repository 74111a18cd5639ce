"""The demo: a book, a sandbox, a worker, trouble on the way; the ledger has the last word."""

import asyncio
import contextlib
import shutil
import signal
import sys
import tempfile
from asyncio.subprocess import DEVNULL, Process
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import simplejson

from zohosync import settings as settings_of
from zohosync.bootstrap import Project, open_database, open_project
from zohosync.clock import Chance, ScaledClock, SystemClock
from zohosync.core.kinds import MAPPED
from zohosync.core.records import BULK, Desired, Ref
from zohosync.demo import book as books
from zohosync.demo.audit import CREATED, Audit, audit, purpose_of
from zohosync.demo.screen import Screen, View
from zohosync.demo.story import Edit, edits
from zohosync.errors import SettingsError
from zohosync.sandbox import Fault, Faults, Sandbox, SandboxLimits, serving
from zohosync.settings import Settings
from zohosync.store.capture import install_watches
from zohosync.store.database import Database
from zohosync.store.history import History
from zohosync.store.migrate import migrate
from zohosync.wiring import watches_of

ZONE = "Africa/Johannesburg"
SPEED = 60.0
"""Virtual seconds per second: the backfill takes about 20 minutes of Zoho's time."""

LIMIT_S = 600.0
"""Real seconds after which the demo gives up and says so."""

KILL_AT = 0.12
"""The worker is killed when this share of the book is in step."""

LOST = Fault("lost_reply", "POST /invoices", nth=60)
_SCALED = """
create or replace function zohosync.current_time() returns timestamptz
  language sql volatile parallel safe as $$
    select timestamptz '{origin}' + (clock_timestamp() - timestamptz '{origin}') * {speed}
  $$
"""
# Who keeps the book and looks at it later: time goes on from where the demo ended, as fast as ours.
_ENDED = """
do $do$ begin execute format($f$
  create or replace function zohosync.current_time() returns timestamptz language sql parallel safe
    as $$ select timestamptz %L + (clock_timestamp() - timestamptz %L) $$
  $f$, zohosync.current_time(), clock_timestamp()); end $do$
"""


@dataclass(slots=True)
class _Run:
    """Everything that the running demo holds."""

    project: Project
    sandbox: Sandbox
    history: History
    book: books.Book
    screen: Screen
    start: list[str]
    edits: list[Edit]
    view: View
    worker: Process | None = None
    killed: bool = False
    edited: int = 0
    told: set[str] = field(default_factory=set)


def run(
    *,
    as_json: bool = False,
    speed: float = SPEED,
    directory: Path | None = None,
    keep: bool = False,
) -> int:
    """Run the demo to its end; returns the exit code (0 when every promise held).

    Works in `directory` (a temporary one when None) and removes what it made unless `keep`.
    """
    with _folder(directory, keep) as folder:
        closing = asyncio.run(_demo(folder, speed, quiet=as_json))
    if as_json:
        print(simplejson.dumps(closing, use_decimal=True, default=str))
    return 0 if closing["ok"] else 1


@contextlib.contextmanager
def _folder(directory: Path | None, keep: bool) -> Iterator[Path]:
    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True)
        folder = directory
    else:
        folder = Path(tempfile.mkdtemp(prefix="zohosync-demo-"))
        folder.chmod(0o711)  # where root runs it, the server runs as somebody else
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder / "project", ignore_errors=True)
            if directory is None:
                shutil.rmtree(folder, ignore_errors=True)


async def _demo(folder: Path, speed: float, *, quiet: bool) -> dict[str, Any]:
    real = SystemClock()
    origin = real.now()
    clock = ScaledClock(origin=origin, speed=speed)
    today = clock.now().astimezone(ZoneInfo(ZONE)).date()
    book = books.build(today)
    sandbox = Sandbox(
        clock=clock,
        chance=Chance(1),
        name="Sample Internet",
        time_zone=ZONE,
        limits=SandboxLimits(per_minute=100, in_flight=10, per_day=5_000),
        faults=Faults([LOST]),
        latency_s=(0.1, 0.6),
    )
    screen = Screen(speed=speed, quiet=quiet)
    async with _set_up(folder, sandbox, book, screen, origin=origin, speed=speed) as (
        project,
        start,
    ):
        history = History(project.database, project.org_id)
        going = _Run(
            project, sandbox, history, book, screen, start, list(edits(book)), View(started=real)
        )
        try:
            async with asyncio.timeout(LIMIT_S):
                await _play(going, real)
        finally:
            screen.stop()
            await _stop(going)
        judged, wanted, local = await _judge(going)
        closing = await _closing(going, judged, wanted, local, speed)
        screen.close(closing, judged)
    return closing


@contextlib.asynccontextmanager
async def _set_up(
    folder: Path,
    sandbox: Sandbox,
    book: books.Book,
    screen: Screen,
    *,
    origin: datetime,
    speed: float,
) -> AsyncIterator[tuple[Project, list[str]]]:
    """The project, its database with the book in it, and the sandbox on a real socket."""
    place = folder / "project"
    shutil.copytree(str(files("zohosync") / "templates"), place, dirs_exist_ok=True)
    async with serving(sandbox) as url:
        settings = _settings(place, url, sandbox)
        screen.say("starting Postgres and writing the sample book")
        async with open_database(settings, check_schema=False) as database:
            await migrate(database)
            async with database.transaction() as transaction:
                scaled = _SCALED.format(origin=origin.isoformat(), speed=speed)
                await transaction.execute_sql(scaled)
            await _write(database, book)
            await install_watches(database, watches_of(settings), clock=SystemClock())
            screen.say(f"sandbox on {url}; time runs {speed:g} times as fast")
            async with open_project(settings, chance=Chance()) as project:
                command = [sys.executable, "-m", "zohosync.demo", str(place), origin.isoformat()]
                yield project, [*command, str(speed)]
            async with database.transaction() as transaction:
                await transaction.execute_sql(_ENDED)


def _settings(place: Path, url: str, sandbox: Sandbox) -> Settings:
    """Write the project's settings so that every process of the demo reads the same."""
    text = (place / settings_of.FILE).read_text().replace('"standard"', '"premium"', 1)
    head = (
        f'[zoho]\napi_url = "{url}"\naccounts_url = "{url}"\n\n[organization]\n'
        f'id = "{sandbox.organization_id}"\n'
    )
    text = text.replace("[organization]\n", head, 1).replace('mode = "test"', 'mode = "sandbox"', 1)
    text = text.replace("[sweep]\n", '[sweep]\ncompare = "never"  # it may be half past two\n', 1)
    (place / settings_of.FILE).write_text(text)
    secrets = place / settings_of.SECRETS_FILE
    secrets.parent.mkdir(exist_ok=True)
    secrets.parent.chmod(0o711)
    secrets.touch(mode=0o600)
    secrets.write_text(
        f'[zoho]\nclient_id = "{sandbox.client_id}"\nclient_secret = "{sandbox.client_secret}"\n'
        f'refresh_token = "{sandbox.refresh_token}"\n'
    )
    return settings_of.load(place)


async def write_sample(settings: Settings) -> int:
    """Write the sample book into the project's own Postgres, to try things on; returns its rows.

    Raises SettingsError where the project names a database: that one is not ours to fill.
    """
    if not settings.embedded:
        raise SettingsError(
            "The sample book goes into a Postgres of its own, and a database URL is set",
            place="ZOHOSYNC_DATABASE_URL or [database] url",
            next_step="unset it for the sample, or make the project without --sample",
        )
    today = SystemClock().now().astimezone(ZoneInfo(settings.organization.time_zone)).date()
    book = books.build(today)
    async with open_database(settings, check_schema=False) as database:
        await _write(database, book)
    return sum(len(rows) for rows in book.tables.values())


async def _write(database: Database, book: books.Book) -> None:
    async with database.transaction() as transaction:
        await transaction.execute_sql(books.schema())
        for text, rows in books.statements(book):
            for row in rows:
                await transaction.execute_sql(text, row)  # type: ignore[arg-type]


async def _play(going: _Run, real: SystemClock) -> None:
    """Backfill, edits as they become possible, one kill, until nothing moves any more."""
    await _start(going)
    for kind in MAPPED:
        await going.project.source.mark_all(kind, priority=BULK)
    quiet = 0
    while quiet < 3:
        await real.sleep(0.25)
        await _look(going)
        if not going.killed and going.view.share >= KILL_AT:
            await _kill(going)
        await _edit(going)
        quiet = 0 if going.edits or going.view.moving or not going.killed else quiet + 1


async def _start(going: _Run) -> None:
    going.worker = await asyncio.create_subprocess_exec(
        *going.start, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL
    )


async def _kill(going: _Run) -> None:
    assert going.worker is not None
    going.worker.send_signal(signal.SIGKILL)
    await going.worker.wait()
    going.killed = True
    going.screen.say(
        "the worker is killed (kill -9) in the middle of its calls; another one starts"
    )
    await _start(going)


async def _stop(going: _Run) -> None:
    if going.worker is None or going.worker.returncode is not None:
        return
    going.worker.terminate()
    try:
        async with asyncio.timeout(20):
            await going.worker.wait()
    except TimeoutError:
        going.worker.kill()
        await going.worker.wait()


async def _look(going: _Run) -> None:
    """Take in how things stand, for the display and for deciding what comes next."""
    if going.worker is not None and going.worker.returncode is not None:
        raise RuntimeError(f"the demo's worker ended by itself ({going.worker.returncode})")
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in MAPPED}
    for row in await going.history.counts():
        if row["kind"] in counts:
            counts[row["kind"]][row["status"]] = row["records"]
    progress = await going.history.progress()
    calls = going.sandbox.ledger.calls()
    going.view.update(counts, progress.moving, len(calls), going.sandbox.ledger)
    lost = next((call for call in calls if call.fault == LOST.what), None)
    if lost is not None and "lost" not in going.told:
        going.told.add("lost")
        going.screen.say("Zoho commits an invoice, and its reply is lost on the way")
    uncertain = sum(each["uncertain"] for each in counts.values())
    if uncertain and uncertain == progress.moving and "uncertain" not in going.told:
        going.told.add("uncertain")
        going.screen.say(
            f"{uncertain} of the killed worker's calls may still arrive: looked for after 10 and "
            "30 minutes, and only then made again, since nothing may be made twice"
        )
    going.screen.show(going.view)


async def _edit(going: _Run) -> None:
    """Let the next edit arrive once its time has come and what it touches is in step."""
    if not going.edits or going.view.share < 0.2 + 0.12 * going.edited:
        return
    edit = going.edits[0]
    for kind, key in edit.after:
        row = await going.history.record(Ref(kind, key))
        if row is None or row["status"] != "synced":
            return
    going.edits.pop(0)
    going.edited += 1
    going.screen.say(edit.label)
    for text, values in edit.statements:
        async with going.project.database.transaction() as transaction:
            await transaction.execute_sql(text, values)


async def _judge(going: _Run) -> tuple[Audit, dict[str, list[Desired]], Counter[str]]:
    """Read the source once more and hold it against the sandbox's ledger."""
    source, ledger = going.project.source, going.sandbox.ledger
    wanted: dict[str, list[Desired]] = {}
    local: Counter[str] = Counter()
    for kind in MAPPED:
        async for rows in source.all_rows(kind):
            local[kind] += len(rows)
            found = [source.as_desired(kind, row) for row in rows]
            wanted.setdefault(kind, []).extend(each for each in found if each.eligible)
    markers = {each.ref: source.marker(each.ref) for kind in MAPPED for each in wanted[kind]}
    records = {kind: ledger.records(kind) for kind in MAPPED}
    return audit(wanted, records, markers), wanted, local


async def _closing(
    going: _Run,
    judged: Audit,
    wanted: dict[str, list[Desired]],
    local: Counter[str],
    speed: float,
) -> dict[str, Any]:
    """The closing table as values; what is in Zoho, and what it cost, comes from the ledger."""
    status: dict[Ref, Any] = {}
    for ref in judged.absent:
        status[ref] = await going.history.record(ref)
    ended = {ref for ref, row in status.items() if row and row["status"] == "skipped"}
    kinds: dict[str, dict[str, Any]] = {}
    for kind in MAPPED:
        refs = [each.ref for each in wanted[kind] if each.ref not in ended]
        out = {ref: status[ref] for ref in refs if ref in status}
        reasons = Counter(
            str(row["error_message"]) for row in out.values() if row and row["status"] == "failed"
        )
        kinds[kind] = {
            "local": local[kind],
            "eligible": len(refs),
            "in_zoho": judged.in_zoho(kind),
            "failed": sum(reasons.values()),
            "waiting": sum(bool(row) and row["status"] == "waiting" for row in out.values()),
            "reasons": dict(reasons),
        }
    lost = {found.ref for found in judged.differences} | {
        ref
        for ref, row in status.items()
        if row is None or row["status"] not in ("failed", "waiting", "skipped")
    }
    return _figures(going, judged, kinds, sorted(map(str, lost)), speed)


def _figures(
    going: _Run, judged: Audit, kinds: dict[str, dict[str, Any]], lost: list[str], speed: float
) -> dict[str, Any]:
    ledger = going.sandbox.ledger
    calls = ledger.calls()
    spent = Counter(purpose_of(call.method, call.operation) for call in calls)
    made = sum(call.status == CREATED for call in calls)
    doubles = sum(len(keys) for keys in ledger.duplicates().values()) + len(judged.doubled)
    records = sum(each["in_zoho"] for each in kinds.values())
    broken = doubles + len(judged.differences) + len(lost) + ledger.deletions
    broken += ledger.blocks + ledger.rate_limit_hits + ledger.emails + ledger.charges
    return {
        "ok": not broken,
        "kinds": kinds,
        "calls": len(calls),
        "calls_per_record": round(len(calls) / max(1, records), 2),
        "calls_per_created_record": round(spent["create"] / max(1, made), 2),
        "calls_by_purpose": dict(spent),
        "largest_minute": ledger.largest_window(),
        "rate_limit_hits": ledger.rate_limit_hits,
        "blocks": ledger.blocks,
        "duplicates": doubles,
        "differences": len(judged.differences),
        "lost_updates": len(lost),
        "lost": lost[:20],
        "emails": ledger.emails,
        "charges": ledger.charges,
        "deletions": ledger.deletions,
        "token_refreshes": ledger.token_mints,
        "speed": speed,
        "virtual_minutes": round(going.view.elapsed_s * speed / 60, 1),
        "seconds": round(going.view.elapsed_s, 1),
    }
