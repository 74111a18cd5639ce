"""Upkeep: what any worker does (heartbeats, rescue, the probing read), and the leader's jobs."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from zohosync.clock import Clock
from zohosync.core.governor import DOWN_AFTER
from zohosync.core.upkeep import Schedule, due
from zohosync.errors import DatabaseError, ZohosyncError
from zohosync.events import Listener, Noted
from zohosync.store.organizations import Presence
from zohosync.store.records import Records
from zohosync.store.upkeep import PRUNES, Look, Upkeep
from zohosync.zoho.client import Remote

RESCUE_S = 2.0
"""How often leases that ran out are looked for."""

BEAT_S = 10.0
"""How often a worker says that it is alive."""

LOOK_S, LEASE_S = 2.0, 6.0
"""How often a worker asks to lead or says that it does; how long that holds: a leader that dies is
followed within 8 s."""

RUN_LIMIT_S = 3_600.0
"""How long one run of a job may take; then it has failed."""

REST_S = 0.2
"""How long pruning lets others go ahead after each of its statements."""

TOLD_MAX = 500
"""Characters that are kept of what came of a run."""


@dataclass(frozen=True, slots=True)
class Job:
    """Upkeep that one process does for all: every so often, what was missed once and not n times.

    `run` returns what there is to tell of it, None for nothing. It may be broken off anywhere and
    be done again by another process, so it is to be written as one that does no harm twice. With
    `at` (HH:MM of the organisation's day) a job of whole days runs at that time.
    """

    name: str
    every_s: float
    run: Callable[[], Awaitable[str | None]]
    at: str | None = None


class Keeper:
    """The upkeep of one process."""

    def __init__(
        self,
        *,
        records: Records,
        presence: Presence,
        remote: Remote,
        clock: Clock,
        tell: Listener,
        wake: Callable[[], None],
        besides: Callable[[], Awaitable[None]],
        sweep: Callable[[], Coroutine[Any, Any, None]] | None = None,
        jobs: Sequence[Job] = (),
        upkeep: Upkeep | None = None,
        pace: float = 1.0,
    ) -> None:
        """`wake` is told when there is work again; `besides` is done in each round, too.

        `pace` stretches its intervals: a demo with sped-up time need not look so often; `sweep` and
        the `jobs` are loops of their own, since a round must not wait for them.
        """
        self._records = records
        self._presence = presence
        self._remote = remote
        self._clock = clock
        self._tell = tell
        self._wake = wake
        self._besides = besides
        self._sweep = sweep
        self._leader = None
        if upkeep is not None:
            self._leader = Leader(upkeep, jobs, clock=clock, tell=tell, pace=pace)
        self._pace = pace
        self._probing: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Keep house until cancelled; a database that is away is waited for."""
        beat_at = self._clock.monotonic()
        async with asyncio.TaskGroup() as tasks:
            if self._sweep is not None:
                tasks.create_task(self._sweep())
            if self._leader is not None:
                tasks.create_task(self._leader.run())
            while True:
                try:
                    if self._clock.monotonic() >= beat_at:
                        await self._presence.beat()
                        beat_at = self._clock.monotonic() + BEAT_S * self._pace
                    await self._round(tasks)
                    await self._besides()  # last: whatever it meets, leases were looked after
                except DatabaseError as error:
                    self._note(error)
                await self._clock.sleep(RESCUE_S * self._pace)

    async def _round(self, tasks: asyncio.TaskGroup) -> None:
        """Rescue what nobody holds any more; ask a down organisation whether it is up again."""
        rescued, state = await self._records.rescue_and_look()
        if rescued:
            self._tell(Noted(f"took over {rescued} records whose worker went silent"))
            self._wake()
        if self._probing is not None and not self._probing.done():
            return
        down = state.overloads >= DOWN_AFTER and not state.paused
        if down and (state.closed_for_s or 0.0) <= 0:  # it may hang: the next rescue does not wait
            self._probing = tasks.create_task(self._probe())

    async def _probe(self) -> None:
        try:
            await self._remote.probe()
        except DatabaseError as error:
            self._note(error)

    def _note(self, error: DatabaseError) -> None:
        self._tell(Noted(f"upkeep: {error}", logging.WARNING))


@dataclass(slots=True)
class _Run:
    """A run that goes on here; `ending`: its end is being written, so it is left alone."""

    number: int
    task: asyncio.Task[None] | None = None
    ending: bool = False


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a run: `done`, or it failed; `told` is what there is to say."""

    job: str
    done: bool
    took_ms: int
    told: str | None


class Leader:
    """Does the jobs of an organisation while it leads, each in a task of its own.

    Theory of operation. A lease in the database, on its clock, says who leads; whoever leads looks
    which jobs are due and begins a run by counting the job's runs up from the number that it saw.
    So a former leader that was frozen and wakes can begin nothing: the number is another one by
    then, or its leadership is over. Of a run that it was in the middle of it hears at its next
    look, and breaks it off.
    """

    def __init__(
        self,
        upkeep: Upkeep,
        jobs: Sequence[Job],
        *,
        clock: Clock,
        tell: Listener,
        pace: float = 1.0,
    ) -> None:
        """`pace` stretches its intervals and its lease."""
        self._upkeep = upkeep
        self._jobs = {job.name: job for job in jobs}
        self._schedules = schedules_of(jobs)
        self._clock = clock
        self._tell = tell
        self._look_s, self._lease_s = LOOK_S * pace, LEASE_S * pace
        self._runs: dict[str, _Run] = {}
        self._epoch: int | None = None
        self._until = clock.monotonic()

    async def run(self) -> None:
        """Lead when nobody else does, until cancelled; a database that is away is waited for."""
        if not self._jobs:
            return
        async with asyncio.TaskGroup() as tasks:
            while True:
                try:
                    await self._round(tasks)
                except DatabaseError as error:
                    self._tell(Noted(f"upkeep: {error}", logging.WARNING))
                    if self._clock.monotonic() >= self._until:
                        self._break_off(())
                await self._clock.sleep(self._look_s)

    async def once(self, *, everything: bool = False) -> list[Ran]:
        """Run what is due now, or `everything`, one after the other, and nothing that goes on.

        Nobody need lead, and a leader may be at work. Raises DatabaseError.
        """
        look = await self._look(lead=False)
        names = list(self._jobs) if everything else due(
            self._schedules, look.known, look.now, look.zone
        )  # fmt: skip
        found: list[Ran] = []
        for name in names:
            number = await self._upkeep.claim(name, look.known[name].runs, self._lease_s, None)
            if number is None:
                continue
            self._runs[name] = run = _Run(number)
            async with asyncio.TaskGroup() as tasks:
                holding = tasks.create_task(self._hold())
                found.append(await self._perform(self._jobs[name], run))
                holding.cancel()
            del self._runs[name]
        return found

    async def _round(self, tasks: asyncio.TaskGroup) -> None:
        asked = self._clock.monotonic()
        look = await self._look(lead=True)
        if look.epoch != self._epoch and look.epoch is not None:
            self._tell(Noted(f"this worker ({self._upkeep.worker}) leads the upkeep now"))
        self._epoch = look.epoch
        self._break_off(look.held if look.epoch is not None else ())
        if look.epoch is None:
            return
        self._until = asked + self._lease_s
        for name in due(self._schedules, look.known, look.now, look.zone):
            if name in self._runs:
                continue
            number = await self._upkeep.claim(
                name, look.known[name].runs, self._lease_s, look.epoch
            )
            if number is not None:
                self._runs[name] = run = _Run(number)
                run.task = tasks.create_task(self._guarded(self._jobs[name], run))
                run.task.add_done_callback(partial(self._over, name))

    def _over(self, name: str, _: asyncio.Task[None]) -> None:
        self._runs.pop(name, None)

    async def _look(self, *, lead: bool) -> Look:
        look = await self._upkeep.look(self._lease_s, self._runs, lead=lead)
        if (look.epoch is not None or not lead) and not look.known.keys() >= self._jobs.keys():
            await self._upkeep.note(list(self._jobs))
            look = await self._upkeep.look(self._lease_s, self._runs, lead=lead)
        return look

    def _break_off(self, held: Sequence[str] | frozenset[str]) -> None:
        """Stop those runs that are not ours any more."""
        for name, run in self._runs.items():
            if name not in held and not run.ending and run.task is not None:
                run.task.cancel()

    async def _hold(self) -> None:
        while True:
            await self._clock.sleep(self._look_s)
            try:
                await self._upkeep.look(self._lease_s, self._runs, lead=False)
            except DatabaseError as error:
                self._tell(Noted(f"upkeep: {error}", logging.WARNING))

    async def _guarded(self, job: Job, run: _Run) -> None:
        """A run whose failure harms nobody else; what cannot be written is found out by others."""
        try:
            ran = await self._perform(job, run)
        except DatabaseError as error:
            self._tell(Noted(f"upkeep: {error}", logging.WARNING))
        else:
            if ran.told:
                level = logging.INFO if ran.done else logging.WARNING
                self._tell(Noted(f"{job.name}: {ran.told}", level))

    async def _perform(self, job: Job, run: _Run) -> Ran:
        began = self._clock.monotonic()
        try:
            async with self._clock.timeout(RUN_LIMIT_S):
                told, done = await job.run(), True
        except TimeoutError:
            told, done = f"it took longer than {RUN_LIMIT_S / 60:.0f} minutes", False
        except Exception as error:  # noqa: BLE001  one job's bug must not stop the others
            words = str(error) if isinstance(error, ZohosyncError) else f"a bug: {error!r}"
            told, done = f"it failed, and is tried again: {words}", False
        took_ms = round((self._clock.monotonic() - began) * 1_000)
        told, run.ending = told[:TOLD_MAX] if told else None, True
        await self._upkeep.end(job.name, run.number, done=done, took_ms=took_ms, told=told)
        return Ran(job.name, done, took_ms, told)


def schedules_of(jobs: Sequence[Job]) -> tuple[Schedule, ...]:
    """When these jobs run."""
    return tuple(Schedule(job.name, job.every_s, job.at) for job in jobs)


async def prune(upkeep: Upkeep, keep_days: Mapping[str, int], clock: Clock) -> str | None:
    """Let go of all that is too old, a few rows at a time; what went, in words.

    `keep_days` by the names of PRUNES. Nobody waits for it longer than for one small statement.
    """
    went: dict[str, int] = {}
    for name, queries in PRUNES.items():
        for query in queries:
            more, after = True, 0
            while more:
                done = await upkeep.prune(query, keep_days[name], after)
                more, after = done.more, done.last
                went[name] = went.get(name, 0) + done.gone
                if more:
                    await clock.sleep(REST_S)
    told = ", ".join(f"{rows:,} of {name}" for name, rows in went.items() if rows)
    return f"rows that were too old are gone: {told}" if told else None
