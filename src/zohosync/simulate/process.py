"""A worker process inside a simulation: production's own, killed, frozen and misled on purpose."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from importlib.resources import files
from typing import Any, Protocol

from zohosync.bootstrap import House, open_service
from zohosync.clock import Chance, Clock
from zohosync.errors import ZohosyncError
from zohosync.events import Event
from zohosync.settings import Settings
from zohosync.store.connection import Address, Connection
from zohosync.store.database import Database, query_text
from zohosync.store.tapped import Overseer, Spares, dial
from zohosync.testing.virtual import VirtualClock
from zohosync.zoho.door import in_process

Errand = Callable[[House, Clock], Awaitable[None]]
"""What a command does with a project whose gate lets calls leave."""


class Trouble(Protocol):
    """What goes wrong around a process, asked at each step; see troubles.py."""

    def dial(self) -> str | None:
        """A database connection is wanted: what the server says when it refuses."""
        ...

    def statement(self) -> str | None:
        """A statement is about to run: None, a SQLSTATE, or LOST."""
        ...

    def answered(self) -> str | None:
        """A statement ran: None, or LOST."""
        ...

    def connect(self) -> None:
        """A call is about to leave; raises OSError."""
        ...

    def carry(self) -> float:
        """A call has left: seconds until it arrives; raises OSError when it never does."""
        ...

    def bring(self) -> float:
        """A call was answered: seconds until that is heard; raises OSError when it never is."""
        ...


class Calm:
    """No trouble at all."""

    def dial(self) -> str | None:
        """Let in."""
        return None

    def statement(self) -> str | None:
        """Done."""
        return None

    def answered(self) -> str | None:
        """Heard."""
        return None

    def connect(self) -> None:
        """At once."""

    def carry(self) -> float:
        """Soon."""
        return 0.05

    def bring(self) -> float:
        """Soon."""
        return 0.05


@dataclass(slots=True)
class Ground:
    """What the processes of a simulation share; all time is virtual and runs on `clock`.

    `step` hears of every step of every process, by a label; it may kill the process.
    """

    clock: VirtualClock
    url: str
    app: Any
    overseer: Overseer
    trouble: Trouble = field(default_factory=Calm)
    step: Callable[["Process", str], None] = lambda _process, _label: None
    tell: Callable[["Process", Event], None] = lambda _process, _event: None
    pace: float = 60.0
    database_skew_s: float = 0.0
    spares: Spares | None = None
    turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    attempts: Counter[str] = field(default_factory=Counter)

    def database_now(self) -> datetime:
        """What the database's clock says."""
        return self.clock.now() + timedelta(seconds=self.database_skew_s)


class Process:
    """One worker process; `live` is its whole life."""

    def __init__(
        self,
        ground: Ground,
        name: str,
        settings: Settings,
        chance: Chance,
        *,
        errand: Errand | None = None,
    ) -> None:
        """Settings are read at its start, as by the command line; with an errand it is a command.

        It is no worker then, and ends when that is done.
        """
        self._errand = errand
        self.ground = ground
        self.name = name
        self.settings = settings
        self.dead = False
        self.skew_s = 0.0
        self.house: House | None = None
        self._chance = chance
        self._stop = asyncio.Event()
        self._thaw = asyncio.Event()
        self._thaw.set()
        self._main: asyncio.Task[Any] | None = None

    async def live(self) -> str:
        """Start, work until stopped or killed; returns how it ended."""
        self._main = asyncio.current_task()
        try:
            await self._work()
        except asyncio.CancelledError:
            if not self.dead or self._main is None:
                raise
            if self._main.cancelling():
                self._main.uncancel()
            return "killed"
        except ZohosyncError as error:
            return f"ended: {error.what}"
        except Exception as error:  # noqa: BLE001 - it is judged, not raised
            return "killed" if self.dead else f"crashed: {error!r}"
        finally:
            self.dead = True
            self.house = None
        return "stopped"

    async def _work(self) -> None:
        ground = self.ground
        tap = _Tap(self)

        async def connect(address: Address) -> tuple[Connection, bool]:
            return await dial(address, tap, ground.spares)

        database = await Database.open(
            ground.url, now=ground.database_now, turn=_Turn(self), dial=connect
        )
        try:
            async with open_service(
                self.settings,
                clock=HostClock(self),
                chance=self._chance,
                tell=partial(ground.tell, self),
                transport=in_process(ground.app, _Line(self)),
                pace=ground.pace,
                database=database,
            ) as house:
                self.house = house
                if self._errand is None:
                    await house.service.run(self._stop)
                else:
                    await _run(self._errand, house, HostClock(self))
        finally:
            with suppress(asyncio.CancelledError):
                await database.close()

    def kill(self) -> None:
        """End it here and now: nothing of it runs any more, and nothing is tidied up."""
        if not self.dead:
            self.dead = True
            self._thaw.set()
            if self._main is not None and self._main is not asyncio.current_task():
                self._main.cancel()  # whoever dies at a step of its own raises there

    def stop(self) -> None:
        """Ask it to stop, as SIGTERM does."""
        self._stop.set()

    async def freeze(self, seconds: float) -> None:
        """Stop the world for it, as SIGSTOP or a sleeping laptop does, and let it go on later."""
        self._thaw.clear()
        await self.ground.clock.sleep(seconds)
        self._thaw.set()
        if self.house is not None:
            self.house.service.worker.wake()

    @property
    def frozen(self) -> bool:
        """Whether it stands still at the moment."""
        return not self._thaw.is_set()

    async def thawed(self) -> None:
        """Wait until it may go on; CancelledError when it is dead."""
        if self.frozen:
            await self._thaw.wait()
        if self.dead:
            raise asyncio.CancelledError

    def at(self, label: str) -> None:
        """It has come to a step. Raises CancelledError when it dies there."""
        if not self.dead:
            self.ground.step(self, label)
        if self.dead:
            raise asyncio.CancelledError

    def wake(self) -> None:
        """Let its worker look for work, as a notification would."""
        if self.house is not None and not self.dead and not self.frozen:
            self.house.service.worker.wake()


async def _run(errand: Errand, house: House, clock: Clock) -> None:
    """Do an errand while the gate lets calls leave. Raises ZohosyncError."""
    failed: ZohosyncError | None = None
    async with asyncio.TaskGroup() as tasks:
        gate = tasks.create_task(house.gate.run())
        try:
            await errand(house, clock)
        except ZohosyncError as error:  # raised outside, where no group wraps it
            failed = error
        finally:
            gate.cancel()
    if failed is not None:
        raise failed


class HostClock:
    """The clock of a process's machine: off by its skew, and standing still while frozen."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._clock = process.ground.clock

    def now(self) -> datetime:
        """What that machine takes for the present."""
        return self._clock.now() + timedelta(seconds=self._process.skew_s)

    def monotonic(self) -> float:
        """Virtual seconds."""
        return self._clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait; a frozen process wakes late."""
        await self._clock.sleep(seconds)
        await self._process.thawed()

    def timeout(self, seconds: float) -> asyncio.Timeout:
        """A time limit in virtual seconds."""
        return self._clock.timeout(seconds)


class _Turn:
    """A process's access to the one turn: a frozen or dead process takes none."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._turn = process.ground.turn

    async def acquire(self) -> None:
        while True:
            await self._process.thawed()
            await self._turn.acquire()
            if not self._process.frozen and not self._process.dead:
                return
            self._turn.release()

    def release(self) -> None:
        self._turn.release()


class _Tap:
    """Listens in on a process's connections."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._ground = process.ground

    def dial(self) -> str | None:
        self._process.at("dial")
        return self._ground.trouble.dial()

    def before(self, statement: bytes) -> str | None:
        self._process.at(f"before {label(statement)}")
        return self._ground.trouble.statement()

    def after(self, statement: bytes) -> str | None:
        self._process.at(f"after {label(statement)}")
        return self._ground.trouble.answered()

    def broken(self, backend_pid: int) -> None:
        self._ground.overseer.terminate(backend_pid)


class _Line:
    """What lies between a process and the pretend Zoho."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._trouble = process.ground.trouble
        self._clock = process.ground.clock

    async def connect(self) -> None:
        await self._process.thawed()
        self._process.at("call: before send")
        self._trouble.connect()

    async def carry(self) -> None:
        self._process.at("call: sent")
        await self._clock.sleep(self._trouble.carry())

    async def bring(self) -> None:
        self._process.at("call: answered, reply lost")
        await self._clock.sleep(self._trouble.bring())
        await self._process.thawed()
        self._process.at("call: reply read")


def label(statement: bytes) -> str:
    """A short name of a statement: its query's, else its first word."""
    name = _names().get(statement)
    return name or statement[:80].split(maxsplit=1)[0].decode().rstrip(";")


def _names() -> dict[bytes, str]:
    if not _NAMES:
        paths = files("zohosync.store").joinpath("queries").iterdir()
        for name in sorted(path.name.removesuffix(".sql") for path in paths):
            _NAMES[query_text(name).encode()] = name
    return _NAMES


_NAMES: dict[bytes, str] = {}
