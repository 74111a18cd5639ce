"""A small stage for the must-fail suite: workers that can be held and killed, then the judges."""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import pytest

from sim.crash_kit import ZONE, Statements
from zohosync.clock import Chance
from zohosync.core.brake import Brake
from zohosync.core.governor import PLANS, Limits
from zohosync.core.sections import Work
from zohosync.events import Event, Noted
from zohosync.sandbox import Fault, Faults, Sandbox, SandboxLimits
from zohosync.simulate import process as processes
from zohosync.simulate.arena import WORK, Arena, settings_for
from zohosync.simulate.company import MAPPING
from zohosync.simulate.oracles import Scene, judge
from zohosync.simulate.process import Calm, Errand, Ground, HostClock, Process
from zohosync.store.database import Database, Row
from zohosync.store.source import Source
from zohosync.store.tapped import Overseer
from zohosync.testing.virtual import ORIGIN, VirtualClock, run

SPIN_STEPS = 2_000
"""So many steps while no time passes are a loop that does not end."""

HORIZON_S = 30_000.0
"""What is due later than that is not waited for."""


class HeldTimeout(asyncio.Timeout):  # type: ignore[misc]
    """A time limit of a process: one that stands still does not notice that it has passed."""

    def __init__(self, when: float, process: Process) -> None:
        super().__init__(when)
        self._process = process

    def _on_timeout(self) -> None:
        if self._process.frozen:
            loop = asyncio.get_running_loop()
            self._timeout_handler = loop.call_later(1.0, self._on_timeout)
        else:
            super()._on_timeout()  # type: ignore[misc]


class HeldClock(HostClock):
    """A process's clock, whose time limits stand still with it."""

    def timeout(self, seconds: float) -> asyncio.Timeout:
        return HeldTimeout(self._clock.monotonic() + seconds, self._process)


@dataclass(slots=True)
class Line(Calm):
    """The way to Zoho and to Postgres, as slow and as bad as a story wants it."""

    carry_s: float = 0.05
    bring_s: float = 0.05
    verdict: str | None = None
    refuses: bool = False

    def connect(self) -> None:
        if self.refuses:
            self.refuses = False
            raise ConnectionRefusedError("refused on purpose")

    def statement(self) -> str | None:
        verdict, self.verdict = self.verdict, None
        return verdict

    def carry(self) -> float:
        return self.carry_s

    def bring(self) -> float:
        return self.bring_s


@dataclass(frozen=True, slots=True)
class Setting:
    """What a story may want otherwise."""

    limits: Limits = PLANS["unlimited"]
    zoho: SandboxLimits = field(default_factory=SandboxLimits.lifted)
    work: Work = WORK
    brake: Brake = field(default_factory=Brake)
    when_gone: dict[str, str] = field(default_factory=dict)
    night: str | None = None
    origin: datetime = ORIGIN
    skew_s: float = 0.0
    sandbox: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Stage:
    """Where a story plays. `wrong` is what it complains of itself, in words."""

    setting: Setting
    clock: VirtualClock
    sandbox: Sandbox
    overseer: Overseer
    ground: Ground
    line: Line
    owner_url: str
    folder: Path
    tasks: asyncio.TaskGroup
    wrong: list[str] = field(default_factory=list)
    excused: set[tuple[str, str]] = field(default_factory=set)
    touched: dict[tuple[str, str], str] = field(default_factory=dict)
    workers: dict[str, Process] = field(default_factory=dict)
    mapping: dict[str, str] = field(default_factory=lambda: dict(MAPPING))
    _cues: list[tuple[str, str, int, Callable[[], None]]] = field(default_factory=list)
    _seen: Counter[tuple[str, str]] = field(default_factory=Counter)
    _moment: float = 0.0
    _steps: int = 0

    def start(self, name: str = "w1", **work: Any) -> Process:
        """A worker of that name, with the mapping of now."""
        process = self._process(name, None, **work)
        self.workers[name] = process
        self.tasks.create_task(self._live(process))
        return process

    async def command(self, errand: Errand, name: str = "operator") -> str:
        """A command of an operator's; returns how it ended, which a story may complain of."""
        process = self._process(name, errand)
        self.workers[name] = process
        how = await process.live()
        del self.workers[name]
        return how

    def _process(self, name: str, errand: Errand | None, **work: Any) -> Process:
        number = len(list(self.folder.iterdir())) + 1
        settings = settings_for(
            self.folder / str(number), self.mapping, self.sandbox, time_zone=ZONE,
            limits=self.setting.limits, brake=self.setting.brake,
            when_gone=self.setting.when_gone, night=self.setting.night,
            work=replace(self.setting.work, **{"debounce_s": 0.0, **work}),
        )  # fmt: skip
        return Process(self.ground, name, settings, Chance(number), errand=errand)

    async def _live(self, process: Process) -> None:
        how = await process.live()
        if how not in ("killed", "stopped"):
            self.wrong.append(f"the worker {process.name} {how}")

    def act(self, *statements: str, wake: str | None = None) -> None:
        """The company changes its rows; all workers are told, or the one named in `wake`."""
        self.overseer.transact([(text, None) for text in statements])
        for name, process in self.workers.items():
            if wake is None or wake == name:
                process.wake()

    def on(self, name: str, label: str, do: Callable[[], None], nth: int = 1) -> None:
        """Do this when that worker comes to a step for the nth time from the start."""
        self._cues.append((name, label, self._seen[name, label] + nth, do))

    def step(self, process: Process, label: str) -> None:
        """A worker has come to a step."""
        self._seen[process.name, label] += 1
        now = self.clock.monotonic()
        self._steps = self._steps + 1 if now == self._moment else 0
        self._moment = now
        if self._steps > SPIN_STEPS:
            self.wrong.append(f"{process.name} spins: {SPIN_STEPS} steps in no time, {label}")
            process.kill()
        for cue in list(self._cues):
            name, wanted, nth, do = cue
            if (name, wanted, nth) == (process.name, label, self._seen[name, label]):
                self._cues.remove(cue)
                do()

    def hold(self, name: str = "w1") -> None:
        """SIGSTOP, as soon as what it does in this moment is done."""
        self.workers[name]._thaw.clear()

    def free(self, name: str = "w1") -> None:
        """SIGCONT."""
        self.workers[name]._thaw.set()
        self.workers[name].wake()

    def faults(self, *faults: Fault) -> None:
        """Zoho's trouble from now on."""
        self.sandbox.set_faults(Faults(faults))

    def calls(self, operation: str) -> int:
        """How many requests of an operation have arrived."""
        return len(self.sandbox.ledger.calls(operation))

    def rows(self, text: str) -> list[Row]:
        """Rows of our own tables."""
        return self.overseer.rows(text)

    def visitor(self) -> Overseer:
        """Somebody else's connection; close it."""
        return Overseer(self.owner_url)

    def must(self, kept: bool, otherwise: str) -> None:
        """Complain unless it was kept."""
        if not kept:
            self.wrong.append(otherwise)

    async def rest(self, hours: float = 24.0) -> None:
        """Return when nothing moves by itself any more; complain when that takes too long."""
        give_up = self.clock.monotonic() + hours * 3600
        left: Row = {}
        while self.clock.monotonic() < give_up:
            await self.clock.sleep(1.0)
            values = {"now": self.ground.database_now(), "horizon_s": HORIZON_S}
            (left,) = self.overseer.rows(LEFT, values)
            if not left["busy"]:
                return
            for process in self.workers.values():
                process.wake()
            due_in_s = left["due_in_s"] or 0.0
            overdue_s = 120.0 if due_in_s < -60.0 else 0.0  # by so much: nobody hurries
            await self.clock.sleep(min(max(overdue_s, due_in_s), 3_000.0))
        self.wrong.append(f"it did not come to rest within {hours} hours: {left}")


LEFT = """
select exists (select from zohosync.marks) or exists (select from zohosync.records r
         where r.lease_until is not null
            or r.due_at < %(now)s + make_interval(secs => %(horizon_s)s)) as busy,
  (select extract(epoch from least(min(r.due_at) filter (where r.lease_until is null),
                                   min(r.lease_until)) - %(now)s)::float8
     from zohosync.records r) as due_in_s
"""
TWICE = """
select kind, zoho_id, string_agg(key, ', ' order by key) as keys from zohosync.records
 where zoho_id is not null group by kind, zoho_id having count(*) > 1 order by kind, zoho_id
"""
BEHIND = """
select kind, key, status, error_message from zohosync.records
 where status <> 'synced' order by kind, key
"""

Story = Callable[[Stage], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Case:
    """A named run that may notice that a guard is off; `play` returns what it complains of."""

    name: str
    play: Callable[[Arena], list[str]]


def told(story: Story, setting: Setting | None = None) -> Case:
    """A directed story as a case."""
    return Case(
        story.__name__.replace("_", " "), lambda arena: tell(arena, story, setting or Setting())
    )


def tell(arena: Arena, story: Story, setting: Setting) -> list[str]:
    """Play a story in a fresh database and let the judges judge it; returns the complaints."""

    async def main() -> list[str]:
        clock = VirtualClock(setting.origin)
        sandbox = Sandbox(
            clock=clock, chance=Chance(1), time_zone=ZONE, limits=setting.zoho, **setting.sandbox
        )
        with swept(arena) as urls, tempfile.TemporaryDirectory() as folder:
            stage = _stage(setting, clock, sandbox, urls, Path(folder))
            try:
                async with stage.tasks:
                    await story(stage)
                    for process in stage.workers.values():
                        process.stop()
                return [*stage.wrong, *await _judged(stage)]
            finally:
                stage.overseer.close()

    with held_clocks():
        return run(main)


_DATABASES: WeakKeyDictionary[Arena, tuple[str, str]] = WeakKeyDictionary()
SCHEMA: list[tuple[str, str]] = []
"""What a story's database has otherwise, and how that is undone."""

SWEEP = (
    "truncate products, plans, people, services, bills, receipts, receipt_parts",
    """
    truncate zohosync.organizations, zohosync.usage_days, zohosync.marks, zohosync.records,
      zohosync.sync_logs, zohosync.api_calls, zohosync.token_cache, zohosync.workers,
      zohosync.audit, zohosync.leaders, zohosync.jobs, zohosync.forgotten, zohosync.alerts,
      zohosync.org_data_cache, zohosync.count_deltas, zohosync.record_counts
      restart identity cascade
    """,
)


@contextmanager
def swept(arena: Arena) -> Iterator[tuple[str, str]]:
    """The URLs of a database with nothing in it.

    It is the same one for all stories: making and dropping one takes longer than a story.
    """
    if arena not in _DATABASES:
        _DATABASES[arena] = arena.fresh()
    url, owner_url = _DATABASES[arena]
    owner = Overseer(owner_url)
    for do, _ in SCHEMA:
        owner.run(do)
    try:
        yield url, owner_url
    finally:
        for statement in (*SWEEP, *(undo for _, undo in SCHEMA)):
            owner.run(statement)
        owner.close()


@contextmanager
def held_clocks() -> Iterator[None]:
    """Time limits stand still with the process that they are of."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "HostClock", HeldClock)
        yield


def _stage(
    setting: Setting, clock: VirtualClock, sandbox: Sandbox, urls: tuple[str, str], folder: Path
) -> Stage:
    url, owner_url = urls
    overseer, line = Overseer(owner_url), Line()
    ground = Ground(
        clock=clock, url=url, app=sandbox.app, overseer=overseer, trouble=line,
        database_skew_s=setting.skew_s,
    )  # fmt: skip
    tasks = asyncio.TaskGroup()
    stage = Stage(setting, clock, sandbox, overseer, ground, line, owner_url, folder, tasks)

    def tell_of(process: Process, event: Event) -> None:
        if isinstance(event, Noted) and event.level >= 40:
            stage.wrong.append(event.message)

    ground.step, ground.tell = stage.step, tell_of
    return stage


async def _judged(stage: Stage) -> list[str]:
    ground, ledger = stage.ground, stage.sandbox.ledger
    behind = [row for row in stage.rows(BEHIND) if (row["kind"], row["key"]) not in stage.excused]
    said = [f"{r['kind']} {r['key']} is {r['status']}: {r['error_message']}" for r in behind]
    said += [f"{r['kind']} {r['zoho_id']} is both {r['keys']}" for r in stage.rows(TWICE)]
    reading = await Database.open(stage.owner_url, now=ground.database_now, turn=ground.turn)
    (row,) = stage.rows("select installation from zohosync.installation")
    source = await Source.open(
        reading, stage.mapping, installation=row["installation"], marker_field=None, time_zone=ZONE
    )
    scripted = [r for r in ledger.requests if r.fault == "rate_limit" and r.code in (43, 44)]
    scene = Scene(
        database=reading, source=source, sandbox=stage.sandbox,
        org_id=stage.sandbox.organization_id, touched=stage.touched, limits=stage.setting.limits,
        excuse=lambda kind, key: "on purpose" if (kind, key) in stage.excused else None,
        blocks_scripted=len(scripted), processes=9, database_skew_s=stage.setting.skew_s,
    )  # fmt: skip
    try:
        return said + [f"{v.oracle}: {v.what}" for v in await judge(scene)]
    finally:
        await reading.close()


def many(write: Callable[[int], Statements], count: int) -> Statements:
    """The statements of the first `count` tries, as one."""
    return tuple(text for n in range(1, count + 1) for text in write(n))
