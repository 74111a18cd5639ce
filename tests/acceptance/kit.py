"""A shop with its project, a sandbox on a socket and worker processes, for the acceptance tests."""

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import simplejson

from zohosync import settings as settings_of
from zohosync.bootstrap import Project, open_database, open_project
from zohosync.clock import Chance, Clock, SystemClock
from zohosync.core.records import Desired, Ref
from zohosync.demo.audit import Audit, audit
from zohosync.sandbox import Faults, Sandbox, SandboxLimits, serving
from zohosync.store.capture import install_watches
from zohosync.store.database import Database
from zohosync.store.migrate import migrate
from zohosync.wiring import watches_of

ZONE = "Africa/Johannesburg"
ZOHOSYNC = (sys.executable, "-m", "zohosync")
KINDS = ("customers", "invoices", "payments")
PEOPLE = """
create table public.people (id integer primary key, name text, email text, phone text);
"""
SHOP = f"""
{PEOPLE}
create table public.bills (
  id integer primary key, person integer not null, amount numeric(14, 2) not null,
  day text not null, state text not null default 'open');
create table public.paid (id integer primary key, bill integer not null references public.bills);
"""
MAPPING = {
    "customers": """
select p.id as key, p.name as display_name, p.email, p.phone from public.people p
""",
    "invoices": """
select b.id as key, b.person as customer_key, b.state, b.amount as total,
       'B-' || b.id as invoice_number, b.day::date as date, b.day::date as due_date,
       jsonb_build_array(jsonb_build_object(
         'name', 'Goods', 'price', b.amount, 'quantity', 1)) as invoice_items
  from public.bills b
""",
    "payments": """
select p.id as key, b.person as customer_key, b.amount, b.day::date as date, 'cash' as payment_mode,
       'P-' || p.id as reference_number,
       jsonb_build_array(jsonb_build_object(
         'invoice_key', b.id, 'amount_applied', b.amount)) as invoices
  from public.paid p join public.bills b on b.id = p.bill
""",
}
WATCHES = (
    ("public.people", "customers", "id"),
    ("public.bills", "invoices", "id"),
    ("public.paid", "payments", "id"),
)
SHIFTED = """
create table if not exists public.shift (span interval not null);
create or replace function zohosync.current_time() returns timestamptz
  language sql volatile parallel safe as $$
    select clock_timestamp() + coalesce((select sum(span) from public.shift), interval '0')
  $$;
"""
SCALED = """
create or replace function zohosync.current_time() returns timestamptz
  language sql volatile parallel safe as $$
    select timestamptz '{origin}' + (clock_timestamp() - timestamptz '{origin}') * {speed}
  $$
"""


class ShiftedClock(SystemClock):
    """The machine's clock, which a test may set forward."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def now(self) -> datetime:
        """The present, and what was skipped."""
        return super().now() + timedelta(seconds=self.ahead_s)

    def monotonic(self) -> float:
        """Seconds that only grow, skipped ones too."""
        return super().monotonic() + self.ahead_s


@dataclass(slots=True)
class Shop:
    """The parts that tests touch."""

    folder: Path
    database: Database
    project: Project
    sandbox: Sandbox
    clock: Clock
    workers: list[Process] = field(default_factory=list)
    starting: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def execute(self, *texts: str, **values: Any) -> None:
        """Run statements as the user's own application would, in one transaction."""
        async with self.database.transaction() as transaction:
            for text in texts:
                await transaction.execute_sql(text, values or None)

    async def rows(self, text: str, **values: Any) -> list[dict[str, Any]]:
        """Rows of any SELECT."""
        async with self.database.transaction() as transaction:
            return await transaction.fetch_sql(text, values or None)

    async def value(self, text: str, **values: Any) -> Any:
        """The one value of a SELECT."""
        return next(iter((await self.rows(text, **values))[0].values()))

    async def count(self, what: str) -> int:
        """How many records there are for which this holds."""
        return int(await self.value(f"select count(*) from zohosync.records where {what}"))

    async def record(self, kind: str, key: object) -> dict[str, Any]:
        """A record's row; empty when there is none."""
        found = await self.rows(
            "select * from zohosync.records where kind = %(kind)s and key = %(key)s",
            kind=kind, key=str(key),
        )  # fmt: skip
        return found[0] if found else {}

    async def fill(self, people: int, bills: int = 0, paid: int = 0) -> None:
        """Write so many rows; the triggers mark them."""
        await self.execute(
            "insert into public.people select n, 'Person ' || n, 'p' || n || '@example.com' "
            f"from generate_series(1, {people}) n"
        )
        if bills:
            await self.execute(
                f"insert into public.bills select n, 1 + n % {people}, 10 + n, "
                f"'2026-01-15' from generate_series(1, {bills}) n",
                f"insert into public.paid select n, n from generate_series(1, {paid}) n",
            )

    async def start(self, *arguments: str, command: Iterable[str] = ()) -> Process:
        """A worker: `zohosync run`, or that command."""
        command = list(command) or [*ZOHOSYNC, "run", "--project", str(self.folder), *arguments]
        async with self.starting:  # or two that start at once write into one log
            with (self.folder / f"worker-{len(self.workers)}.log").open("ab") as log:
                streams: Any = {"stdin": DEVNULL, "stdout": DEVNULL, "stderr": log}
                started = await asyncio.create_subprocess_exec(*command, **streams)
            self.workers.append(started)
            return started

    async def alive(self, count: int) -> None:
        """Return once so many workers have said that they are there: a busy machine is slow."""
        await self.until(f"(select count(*) from zohosync.workers) >= {count}", within_s=120)

    async def stop(self, worker: Process, *, within_s: float = 30.0) -> int:
        """Stop a worker as an init system does; returns its exit code."""
        worker.terminate()
        async with asyncio.timeout(within_s):
            return await worker.wait()

    async def until(self, condition: str, *, within_s: float = 40.0, poll_s: float = 0.05) -> None:
        """Return once this SQL condition holds; fails with how things stand when it never does."""
        try:
            async with asyncio.timeout(within_s):
                while not await self.value(f"select {condition}"):
                    self._fell()
                    await asyncio.sleep(poll_s)
        except TimeoutError:
            raise AssertionError(f"never: {condition}\n{await self.story()}") from None

    async def until_calls(self, count: int, *, within_s: float = 30.0) -> None:
        """Return once the sandbox has seen so many calls."""
        try:
            async with asyncio.timeout(within_s):
                while len(self.sandbox.ledger.calls()) < count:
                    self._fell()
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"never {count} calls\n{await self.story()}") from None

    def _fell(self) -> None:
        """Say so at once when the newest worker ended by an error of its own."""
        if self.workers and (self.workers[-1].returncode or 0) > 0:
            number = len(self.workers) - 1
            log = (self.folder / f"worker-{number}.log").read_text(errors="replace")
            raise AssertionError(f"worker {number} fell: {log[-2_000:]}")

    async def quiet(self, *, horizon_s: float = 8.0, within_s: float = 60.0) -> None:
        """Return once nothing is under way or comes due within these seconds."""
        try:
            async with asyncio.timeout(within_s):
                still = 0
                while still < 2:
                    left = await self.project.records.unsettled(horizon_s)
                    busy = left["marks"] or left["leased"] or left["due"]
                    self._fell()
                    still = 0 if busy else still + 1
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"it does not come to rest\n{await self.story()}") from None

    async def skip(self, seconds: float) -> None:
        """Set the database's and the sandbox's clock forward; this machine's stays."""
        assert isinstance(self.clock, ShiftedClock)
        self.clock.ahead_s += seconds
        await self.execute(
            "insert into public.shift values (make_interval(secs => %(s)s))", s=seconds
        )

    async def past_doubt(self) -> None:
        """Let pass what an uncertain create needs: two looks, 10 and 20 minutes apart."""
        for seconds in (660.0, 1_260.0):
            await self.quiet()
            if not await self.count("intent_id is not null and due_at is not null"):
                return
            await self.skip(seconds)
        await self.quiet()

    async def audited(self) -> Audit:
        """The whole source held against the sandbox's ledger."""
        source, wanted = self.project.source, dict[str, list[Desired]]()
        for kind in source.kinds:
            wanted[kind] = []
            async for rows in source.all_rows(kind):
                found = [source.as_desired(kind, row) for row in rows]
                wanted[kind] += [each for each in found if each.eligible]
        markers = {each.ref: source.marker(each.ref) for found in wanted.values() for each in found}
        return audit(
            wanted, {kind: self.sandbox.ledger.records(kind) for kind in source.kinds}, markers
        )

    async def assert_in_step(self, **counts: int) -> None:
        """Every row is in the sandbox exactly once and as it is here; nobody was troubled."""
        judged, ledger = await self.audited(), self.sandbox.ledger
        skipped = await self.rows("select kind, key from zohosync.records where status = 'skipped'")
        over = {Ref(row["kind"], row["key"]) for row in skipped}
        absent = [ref for ref in judged.absent if ref not in over]
        wrong = (absent, judged.doubled, judged.differences)
        assert not any(wrong), f"{wrong}\n{await self.story()}"
        for kind, count in counts.items():
            assert len(ledger.records(kind)) == count, kind
        assert not any(ledger.duplicates().values()), ledger.duplicates()
        assert (ledger.emails, ledger.charges, ledger.refunds, ledger.deletions) == (0, 0, 0, 0)
        assert await self.count("status not in ('synced', 'skipped')") == 0, await self.story()

    async def story(self) -> str:
        """What a failing test has to say."""
        counts = await self.rows(
            "select kind, status, count(*), min(key), min(error_message), min(due_at) from "
            "zohosync.records group by 1, 2 order by 1, 2"
        )
        logs = [
            f"--- {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-8:])
            for log in sorted(self.folder.glob("worker-*.log"))
        ]
        codes = [worker.returncode for worker in self.workers]
        organization = await self.rows(
            "select paused, closed_until, closed_reason, overloads, zohosync.current_time() "
            "from zohosync.organizations"
        )
        servers = await self.rows(
            "select pid, state, wait_event, now() - state_change as since, left(query, 60) "
            "from pg_stat_activity where application_name = 'zohosync' and state <> 'idle'"
        )
        marks = f"{await self.value('select count(*) from zohosync.marks')} marks"
        lines = [*map(str, (*counts, *servers)), marks, str(organization), f"exit codes {codes}"]
        return "\n".join([*lines, *logs, str(self.sandbox.ledger.summary())])


def write_project(
    folder: Path,
    sandbox: Sandbox,
    url: str,
    database_url: str | None,
    *,
    limits: str = 'plan = "unlimited"',
    worker: str = "",
    mapping: Mapping[str, str] = MAPPING,
    watches: Iterable[tuple[str, str, str]] = WATCHES,
) -> None:
    """The project folder: settings, mappings, and the protected file with the secrets."""
    (folder / "mapping").mkdir(parents=True, exist_ok=True)
    for kind, text in mapping.items():
        (folder / "mapping" / f"{kind}.sql").write_text(text)
    watched = "".join(
        f'[[watch]]\ntable = "{table}"\nkind = "{kind}"\nkey = "{key}"\n'
        for table, kind, key in watches
        if kind in mapping
    )
    (folder / settings_of.FILE).write_text(
        f'[organization]\nid = "{sandbox.organization_id}"\nmode = "sandbox"\n'
        f'time_zone = "{ZONE}"\ncurrency = "ZAR"\n[zoho]\napi_url = "{url}"\n'
        f"[limits]\n{limits}\n[worker]\ndebounce_s = 0\n{worker}\n{watched}"
    )
    secrets = folder / settings_of.SECRETS_FILE
    secrets.parent.mkdir(exist_ok=True)
    secrets.parent.chmod(0o711)
    secrets.touch(mode=0o600)
    kept = f'[database]\nurl = "{database_url}"\n' if database_url else ""
    secrets.write_text(
        f'[zoho]\nclient_id = "{sandbox.client_id}"\nclient_secret = "{sandbox.client_secret}"\n'
        f'refresh_token = "{sandbox.refresh_token}"\n{kept}'
    )


def pretend(
    clock: Clock,
    *,
    limits: SandboxLimits | None = None,
    latency_s: tuple[float, float] = (0.0, 0.0),
    faults: Faults | None = None,
) -> Sandbox:
    """A sandbox of the shop's time zone, its limits lifted unless told."""
    return Sandbox(
        clock=clock,
        chance=Chance(7),
        time_zone=ZONE,
        limits=limits or SandboxLimits.lifted(),
        latency_s=latency_s,
        faults=faults,
    )


@asynccontextmanager
async def shop(
    folder: Path,
    database_url: str | None,
    *,
    sandbox: Sandbox | None = None,
    clock: Clock | None = None,
    time: str = SHIFTED,
    schema: str = SHOP,
    **project: Any,
) -> AsyncIterator[Shop]:
    """A shop that is open: its tables watched, its sandbox serving; ends its workers at the end.

    Without `database_url` the database is the project's own Postgres. `time` is the SQL that
    replaces our one source of time.
    """
    clock = clock or (sandbox.wire.clock if sandbox else ShiftedClock())
    sandbox = sandbox or pretend(clock)
    async with contextlib.AsyncExitStack() as stack:
        url = await stack.enter_async_context(serving(sandbox))
        write_project(folder, sandbox, url, database_url, **project)
        settings = settings_of.load(folder)
        async with open_database(settings, check_schema=False) as database:
            await migrate(database)
            async with database.transaction() as transaction:
                await transaction.execute_sql(time)
                await transaction.execute_sql(schema)
            await install_watches(database, watches_of(settings), clock=SystemClock())
        opened = await stack.enter_async_context(open_project(settings, chance=Chance(3)))
        here = Shop(folder, opened.database, opened, sandbox, clock)
        stack.push_async_callback(end, here)
        yield here


async def end(here: Shop) -> None:
    """End every worker that still lives, frozen ones too."""
    for worker in here.workers:
        if worker.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker.pid, signal.SIGKILL)
            await worker.wait()


def point(patch: pytest.MonkeyPatch, sandbox: Sandbox, url: str, database_url: str) -> None:
    """Let the environment point every command at this sandbox and this database."""
    for name, value in {
        "DATABASE_URL": database_url,
        "API_URL": url,
        "ORGANIZATION_ID": sandbox.organization_id,
        "ORGANIZATION_MODE": "sandbox",
        "CLIENT_ID": sandbox.client_id,
        "CLIENT_SECRET": sandbox.client_secret,
        "REFRESH_TOKEN": sandbox.refresh_token,
        "LIMITS_PLAN": "unlimited",
        "WORKER_DEBOUNCE_S": "0",
    }.items():
        patch.setenv(f"ZOHOSYNC_{name}", value)


async def zohosync(folder: Path, *arguments: str, project: bool = True) -> dict[str, Any]:
    """Run the command in a project to its end, which must be a good one; its JSON."""
    where = ("--project", str(folder)) if project else ()
    asked = await asyncio.create_subprocess_exec(
        *ZOHOSYNC, *arguments, *where, "--json", stdin=DEVNULL, stdout=PIPE, stderr=PIPE
    )
    out, err = await asked.communicate()
    assert asked.returncode == 0, (arguments, out[-2_000:], err[-2_000:])
    told: dict[str, Any] = simplejson.loads(out.splitlines()[-1])
    return told
