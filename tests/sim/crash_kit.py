"""Stops a worker at each of its steps, one after the other, while it does one operation."""

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from zohosync.clock import Chance
from zohosync.core.brake import Brake
from zohosync.core.governor import PLANS
from zohosync.events import Event, Noted
from zohosync.sandbox import Sandbox, SandboxLimits
from zohosync.simulate.arena import WORK, Arena, settings_for
from zohosync.simulate.company import MAPPING
from zohosync.simulate.oracles import Scene, Violation, judge
from zohosync.simulate.process import Ground, Process
from zohosync.store.database import Database
from zohosync.store.source import Source
from zohosync.store.tapped import Overseer
from zohosync.testing.virtual import VirtualClock, run

ZONE = "Africa/Johannesburg"
POINTS_MAX = 600
"""No operation has as many steps: a loop that does not end is a bug."""

Statements = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of one kind: what is there before, and the change that leads to it.

    Both are statements for the n-th try, whose records have keys of their own. `expired`: the
    access token is dead by then.
    """

    name: str
    before: Callable[[int], Statements]
    change: Callable[[int], Statements]
    expired: bool = False


@dataclass(slots=True)
class Crash:
    """Kills whoever comes to step number `at`, once; counts the steps that were seen."""

    at: int = 0
    seen: int = 0
    armed: bool = False
    where: str = ""
    labels: list[str] = field(default_factory=list)

    def step(self, process: Process, label: str) -> None:
        if not self.armed or label.startswith("after "):
            return  # after one step and before the next, the world is the same
        self.seen += 1
        if self.seen == self.at:
            self.armed = False
            self.where = label
            self.labels.append(label)
            process.kill()


@dataclass(slots=True)
class Room:
    """A world of one worker at a time."""

    ground: Ground
    sandbox: Sandbox
    overseer: Overseer
    folder: Path
    tasks: asyncio.TaskGroup
    crash: Crash
    bugs: list[str]
    process: Process | None = None
    started: int = 0
    over: bool = False

    def start(self) -> None:
        """A new worker."""
        self.started += 1
        settings = settings_for(
            self.folder / str(self.started), MAPPING, self.sandbox,
            time_zone=ZONE, limits=PLANS["unlimited"], work=replace(WORK, debounce_s=0.0),
            brake=Brake(endings=POINTS_MAX, updates=POINTS_MAX),  # an ending at each point
        )  # fmt: skip
        self.process = Process(self.ground, f"w{self.started}", settings, Chance(self.started))
        self.tasks.create_task(self.keep(self.process))

    async def keep(self, process: Process) -> None:
        """Its life, and its successor."""
        try:
            how = await process.live()
        except asyncio.CancelledError:
            self.over = True
            raise
        if how not in ("killed", "stopped"):
            raise AssertionError(f"the worker {how}")
        if not self.over:
            self.start()

    def transact(self, statements: Statements) -> None:
        """The company changes its rows, and the worker is told."""
        self.overseer.transact([(text, None) for text in statements])
        if self.process is not None:
            self.process.wake()

    async def settled(self) -> None:
        """Return when nothing moves by itself any more."""
        for look in range(100):
            await self.ground.clock.sleep(min(2.0**look, 30.0))  # a dead one is found by and by
            now = self.ground.database_now()
            (left,) = self.overseer.rows(LEFT, {"now": now})
            if not left["busy"]:
                return
            if self.process is not None:
                self.process.wake()  # instead of a poll every second
            await self.ground.clock.sleep(min(max(0.0, left["due_in_s"] or 0.0), 3_000.0))
        raise AssertionError(f"it never came to rest: {left}")


LEFT = """
select exists (select from zohosync.marks) or exists (select from zohosync.records r
         where r.lease_until is not null or r.due_at is not null) as busy,
  (select extract(epoch from least(min(r.due_at) filter (where r.lease_until is null),
                                   min(r.lease_until)) - %(now)s)::float8
     from zohosync.records r) as due_in_s
"""


@contextmanager
def database(arena: Arena) -> Iterator[tuple[str, str]]:
    """A fresh database's URLs."""
    url, owner_url = arena.fresh()
    try:
        yield url, owner_url
    finally:
        arena.drop(url)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it: the steps in their order, and what the oracles found."""

    points: list[str]
    violations: list[Violation]
    bugs: list[str]


def enumerate_points(arena: Arena, operation: Operation, *, only: int | None = None) -> Outcome:
    """Kill a worker at every step of an operation, each time on records of its own, and judge.

    `only` tries that one step.
    """

    async def main() -> Outcome:
        clock = VirtualClock()
        crash = Crash()
        sandbox = Sandbox(
            clock=clock, chance=Chance(1), time_zone=ZONE, limits=SandboxLimits.lifted()
        )
        with database(arena) as (url, owner_url), tempfile.TemporaryDirectory() as folder:
            overseer = Overseer(owner_url)
            bugs: list[str] = []

            def tell(process: Process, event: Event) -> None:
                if isinstance(event, Noted) and event.level >= 40:
                    bugs.append(event.message)

            ground = Ground(
                clock=clock, url=url, app=sandbox.app, overseer=overseer, step=crash.step, tell=tell
            )
            async with asyncio.TaskGroup() as tasks:
                room = Room(ground, sandbox, overseer, Path(folder), tasks, crash, bugs)
                await _each_point(room, operation, only)
            violations = await _judged(room, owner_url)
            overseer.close()
        return Outcome(crash.labels, violations, bugs)

    return run(main)


async def _each_point(room: Room, operation: Operation, only: int | None) -> None:
    room.start()
    for at in range(only or 1, POINTS_MAX):
        room.transact(operation.before(at))
        await room.settled()
        if operation.expired:
            room.sandbox.tokens.expire()
        room.crash.at, room.crash.seen, room.crash.armed = at, 0, True
        room.transact(operation.change(at))
        await room.settled()
        if room.crash.armed or only is not None:
            break  # it has fewer steps than that
    else:
        raise AssertionError(f"{operation.name} has more than {POINTS_MAX} steps")
    room.crash.armed = False
    room.over = True
    assert room.process is not None
    room.process.stop()


async def _judged(room: Room, owner_url: str) -> list[Violation]:
    ground = room.ground
    reading = await Database.open(owner_url, now=ground.database_now, turn=ground.turn)
    (row,) = room.overseer.rows("select installation from zohosync.installation")
    source = await Source.open(
        reading, MAPPING, installation=row["installation"], marker_field=None, time_zone=ZONE
    )
    scene: Any = Scene(
        database=reading, source=source, sandbox=room.sandbox,
        org_id=room.sandbox.organization_id, excuse=lambda _kind, _key: None, touched={},
        limits=PLANS["unlimited"], processes=room.started,
    )  # fmt: skip
    try:
        return await judge(scene)
    finally:
        await reading.close()
