"""A simulated company with its workers, its Zoho and its database: what happenings touch."""

import asyncio
import re
import socket
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from zohosync.clock import Chance
from zohosync.core.brake import Brake
from zohosync.core.governor import PLANS, Limits
from zohosync.events import AttemptEnded, Event, Noted
from zohosync.sandbox import GrantCode, Sandbox, SandboxLimits
from zohosync.settings import Settings
from zohosync.simulate.arena import Arena, night_of, settings_for
from zohosync.simulate.company import MAPPING, Act, Company
from zohosync.simulate.oracles import Violation
from zohosync.simulate.process import Errand, Ground, Process
from zohosync.simulate.promises import Diary
from zohosync.simulate.troubles import Troubles
from zohosync.store.connection import read_address
from zohosync.store.database import Database
from zohosync.store.tapped import Overseer, Spares
from zohosync.testing.virtual import VirtualClock

T = TypeVar("T")

WHEN_GONE = {"customers": "inactivate", "subscriptions": "cancel", "invoices": "void"}
"""What is done in Zoho with what is gone here, where the run has that set for the kind."""

ZONES = ("Africa/Johannesburg", "Africa/Johannesburg", "America/New_York", "Pacific/Auckland")

PACE = 120.0
"""How much longer than in earnest a worker's rounds of upkeep are apart: every four minutes."""

_OURS = re.compile(rf"\b{re.escape(socket.gethostname())}(-\d+)?\b")
"""How this machine, and a process on it, is called."""


class World:
    """A run under way: what the events of it touch."""

    def __init__(self, seed: int, arena: Arena, profile: str, clock: VirtualClock) -> None:
        """Nothing runs yet. Raises ValueError for an unknown profile."""
        self.clock = clock
        self.chance = _chance(seed, 1)
        self.zone = ZONES[seed % len(ZONES)]
        self.night = night_of(clock.now(), self.zone)
        self.company = Company(_chance(seed, 2), self.zone)
        self.troubles = Troubles(profile, _chance(seed, 3), _chance(seed, 6))
        self.given = self.troubles.from_the_start()
        self.apart, self.aside = _chance(seed, 7), _chance(seed, 8)
        self.diary = Diary(self._brake(), self._when_gone())
        self.names = Counter[str]()
        self.limits = self.usual_limits = PLANS["standard"]
        self.lowered: list[tuple[float, float, Limits]] = []
        self.sandbox = Sandbox(
            clock=clock, chance=_chance(seed, 4), time_zone=self.zone,
            limits=SandboxLimits(
                in_flight=5, per_day=1_000, quota_headers=seed % 2 == 0,
                per_page=20 if "short_pages" in self.given else 200,
            ),
            faults=self.troubles.remote(),
            grants=[GrantCode(f"again-{n}", life_s=1e9) for n in range(20)],
        )  # fmt: skip
        self.url, self.owner_url = arena.fresh()
        self.overseer, self.spares = Overseer(self.owner_url), Spares()
        self.place = read_address(self.url).shown
        self.ground = Ground(
            clock=clock, url=self.url, app=self.sandbox.app, overseer=self.overseer,
            trouble=self.troubles, step=self._step, tell=self._tell,
            database_skew_s=self.chance.integer(-15, 15), pace=PACE, spares=self.spares,
        )  # fmt: skip
        self.base_mapping = MAPPING
        self.mapping = dict(MAPPING)
        self.refresh_token = self.sandbox.refresh_token
        self.touched: dict[tuple[str, str], str] = {}
        self.bugs: list[Violation] = []
        self.lines: list[str] = []
        self.attempts = 0
        self.calls_left = 0
        self.interruptions: list[datetime] = []
        self.troubles.on_strike = self.interrupted
        self.started = 0
        self.foreign_calls = 0
        self.current: list[Process] = []
        self.over = self.comparing = False
        self.quiet_at = 0.0
        self.watch: Callable[[float], None] = lambda _hours: None
        self._seed = seed
        self._temporary = tempfile.TemporaryDirectory(prefix="zohosync-simulation-")
        self.tasks = asyncio.TaskGroup()
        """Where everything that runs in the world belongs; entered by whoever lets it live."""

    def chance_of(self, several: Sequence[T]) -> T:
        """One of them."""
        return several[self.chance.integer(0, len(several) - 1)]

    def _brake(self) -> Brake:
        """How many endings and updates this company lets happen unseen: few, so that it shows."""
        return Brake(endings=self.apart.integer(5, 8), updates=self.apart.integer(8, 30))

    def _when_gone(self) -> dict[str, str]:
        if "gone_is_ended" not in self.given:
            return {}
        kinds = [kind for kind in WHEN_GONE if self.apart.random() < 0.6]
        return {kind: WHEN_GONE[kind] for kind in kinds or WHEN_GONE}

    def excuse(self, kind: str, key: str) -> str | None:
        """Why this row need not equal Zoho in the end, or None: it must."""
        return self.company.excuse(kind, key) or self.diary.excuse(kind, key)

    def installation(self) -> str:
        """The installation's name in the database."""
        (row,) = self.overseer.rows("select installation from zohosync.installation")
        return str(row["installation"])

    def interrupted(self, name: str) -> None:
        """Something struck: who was at work may be late, and that is no fault of theirs."""
        self.note(f"trouble {name}")
        self.interruptions.append(self.clock.now())

    def note(self, text: str) -> None:
        """A line of the trace; nothing in it is of this machine: files, host, process."""
        text = _OURS.sub("host", text.replace(self.place, "the database"))
        self.lines.append(f"{self.clock.monotonic():12.4f} {text}")

    def act(self, act: Act) -> None:
        """The company's application changes its tables, in one transaction."""
        self.note(f"act {act.name}")
        self.overseer.transact(act.statements)
        self.diary.note(self.clock.monotonic(), self.company.picture)
        if self.chance.random() < 0.9:  # a wake-up may be lost
            self.wake()

    def wake(self) -> None:
        """Let every worker look for work."""
        for process in self.current:
            process.wake()

    def start(self) -> Process:
        """Start a worker with the settings of now; it is replaced when it dies."""
        process = self._process(None)
        process.skew_s = float(self.chance.integer(-40, 40))
        self.current.append(process)
        self.tasks.create_task(self._watch(process))
        return process

    async def command(self, errand: Errand) -> bool:
        """An operator gives a command beside the workers; whether it came to its end.

        It may die like a worker; what is wrong with how it ended is a bug.
        """
        process = self._process(errand)
        how = await process.live()
        self.note(f"{process.name}, a command, {how}")
        if how.startswith("crashed"):
            self.bugs.append(Violation("bugs", f"{process.name} {how}"))
        return how == "stopped"

    def _process(self, errand: Errand | None) -> Process:
        if errand is None:
            self.started += 1
            name, number = f"w{self.started}", self.started
        else:
            self.names["commands"] += 1
            name, number = f"o{self.names['commands']}", 500 + self.names["commands"]
        settings = self.settings(Path(self._temporary.name, name))
        return Process(
            self.ground, name, settings, _chance(self._seed, 100 + number), errand=errand
        )

    def settings(self, folder: Path) -> Settings:
        """The settings of now, in a folder of their own."""
        return settings_for(
            folder, self.mapping, self.sandbox, time_zone=self.zone, limits=self.limits,
            night=self.night, refresh_token=self.refresh_token, brake=self.diary.brake,
            when_gone=self.diary.when_gone,
        )  # fmt: skip

    async def _watch(self, process: Process) -> None:
        self.note(f"{process.name} starts")
        how = await process.live()
        self.note(f"{process.name} {how}")
        if how.startswith("crashed"):
            self.bugs.append(Violation("bugs", f"{process.name} {how}"))
        if process in self.current:  # else somebody has seen to it already
            self.current.remove(process)
            await self.clock.sleep(5 + 25 * self.chance.random())
            if not self.over:
                self.start()

    def retire(self, process: Process) -> None:
        """Ask a worker to stop; nobody takes its place."""
        if process in self.current:
            self.current.remove(process)
            process.stop()

    def restart_all(self) -> None:
        """New workers with the settings of now beside the old, which then stop: an upgrade."""
        old = list(self.current)
        for process in old:
            self.current.remove(process)
            self.start()
            self.tasks.create_task(self._stop_later(process))

    async def _stop_later(self, process: Process) -> None:
        await self.clock.sleep(5 + 100 * self.chance.random())
        process.stop()

    async def connected(self) -> Database:
        """A connection of an operator's own, for a command; close it."""
        return await Database.open(
            self.owner_url, now=self.ground.database_now, turn=self.ground.turn
        )

    def _step(self, process: Process, label: str) -> None:
        self.calls_left += label == "call: sent"
        if self.troubles.at_step():
            self.note(f"{process.name} dies at {label}")
            process.kill()

    def _tell(self, process: Process, event: Event) -> None:
        match event:
            case AttemptEnded():
                self.attempts += 1
                self.note(f"{process.name} {event.ref} {event.step}: {event.result}")
            case Noted(message=message, level=level):
                self.note(f"{process.name} {message}")
                if level >= 40:
                    self.bugs.append(Violation("bugs", message))
            case _:  # the organisation was closed or paused: everybody waits
                self.note(f"{process.name} {event}")
                self.interruptions.append(self.clock.now())

    def close(self, arena: Arena) -> None:
        """Tidy up."""
        self.overseer.close()
        self.spares.close()
        self._temporary.cleanup()
        arena.drop(self.url)


def _chance(seed: int, part: int) -> Chance:
    return Chance(seed * 1_000 + part)
