"""The core loop: claim, read, plan, act, settle."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from zohosync.clock import Chance, Clock
from zohosync.core.figures import reads_spared
from zohosync.core.governor import DOWN_AFTER, too_many_missing
from zohosync.core.kinds import KINDS
from zohosync.core.lanes import places_of
from zohosync.core.mapping import identity_of
from zohosync.core.outcome import judge
from zohosync.core.plan import Policy, plan
from zohosync.core.privacy import evidence
from zohosync.core.records import (
    Claim,
    Desired,
    ErrorClass,
    ParentView,
    Ref,
    Status,
    asked_of,
    lane_of,
)
from zohosync.core.renames import (
    Namesake,
    naming,
    outlived,
    succeed,
    tells,
    vanished,
    would_appear,
)
from zohosync.core.replies import Found, Reply
from zohosync.core.settlement import Scene, Settlement
from zohosync.core.states import foreseen
from zohosync.core.steps import (
    Create,
    Find,
    Later,
    Purpose,
    Step,
    Transition,
    Update,
    planned_operation,
)
from zohosync.engine.catalog import Catalog
from zohosync.engine.gate import Gate
from zohosync.errors import DatabaseError, LeaseLostError
from zohosync.events import AttemptEnded, Listener, Noted
from zohosync.store.records import AttemptNote, NextDue, Records, Settled
from zohosync.store.source import Source
from zohosync.store.writeback import WriteBack

GATHER_S = 0.05
"""How long a free slot may wait for others while more than half of them are in use."""

HELD_S = 0.1
"""How soon marks are looked for again that were not there to be folded: another one holds them."""


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """How a worker works; all times in seconds.

    `reserve` of the `slots` are kept for live records; `poll_s` is how often an idle worker
    looks for marks; due times are slept to exactly. `redact` are fields that no log keeps.
    """

    slots: int = 10
    reserve: int = 2
    lease_s: float = 6.0
    heartbeat_s: float = 2.0
    poll_s: float = 0.5
    policy: Policy = field(default_factory=Policy)
    marker_field: str | None = None
    redact: tuple[str, ...] = ()


class Worker:
    """Brings records into step until it is told to stop."""

    def __init__(
        self,
        *,
        records: Records,
        source: Source,
        remote: Catalog,
        gate: Gate,
        clock: Clock,
        chance: Chance,
        settings: WorkerSettings,
        tell: Listener,
        writeback: WriteBack | None = None,
    ) -> None:
        """All that it needs, built by bootstrap."""
        self._records = records
        self._source = source
        self._remote = remote
        self._gate = gate
        self._clock = clock
        self._chance = chance
        self._settings = settings
        self._tell = tell
        self._writeback = writeback
        self._open = settings.slots - min(settings.reserve, settings.slots - 1)
        self._live: dict[Ref, Claim] = {}
        self._news, self._held = asyncio.Event(), asyncio.Event()
        self._room = asyncio.Event()

    async def attempt(
        self, claim: Claim, desired: Desired | None, parents: Mapping[Ref, ParentView]
    ) -> Settlement:
        """One attempt at one record: the whole of what this program is for."""
        started = self._clock.monotonic()
        step = plan(desired, claim, parents, self._settings.policy)
        if desired is not None and would_appear(step):
            claim = replace(claim, identity=identity_of(desired))
            step = succeed(step, claim, await self._vanished(claim))
        elif isinstance(step, Transition) and step.gone:
            step = await unless_renamed(step, claim, self._source, self._records)
        reply: Reply | None = None
        if isinstance(step, Create | Update | Transition | Find):
            reply = await self._remote.perform(step, claim, lane_of(claim.priority))
        scene = await self._scene(claim, step, reply, started)
        settlement = judge(step, reply, claim, scene)
        note = AttemptNote(
            step=planned_operation(step),
            entity_type=KINDS[claim.ref.kind].singular,
            duration_ms=round((self._clock.monotonic() - started) * 1000),
            identity=identity_of(desired) if desired and not desired.faults else None,
            reads_saved=reads_spared(step, desired, parents, reply),
            asked=asked_of(desired) if desired else None,
            evidence=evidence(step, reply, claim, self._settings.redact),
        )
        settled = await self._records.settle(claim, settlement, note)
        self._tell(_ended(claim, settlement, note, settled))
        await self._afterwards(claim, settlement)
        return settlement

    async def _vanished(self, claim: Claim) -> list[Namesake]:
        """The records that this one may be under another key: their rows are not there."""
        kind = KINDS[claim.ref.kind]
        if claim.identity is None or kind.internal or not tells(kind, claim.identity):
            return []
        akin = await self._records.namesakes(claim.ref, claim.identity)
        named = [ref for ref in akin if not akin[ref].forgotten]  # of the others no key is known
        rows = await self._source.desired(named) if named else {}
        unread = [replace(akin[ref], busy=True) for ref in named if ref not in rows]
        rows |= dict.fromkeys(akin.keys() - set(named))
        who = claim.identity
        return [*unread, *(akin[ref] for ref, row in rows.items() if vanished(akin[ref], who, row))]

    async def _afterwards(self, claim: Claim, settlement: Settlement) -> None:
        """What follows a settlement and changes nothing of it."""
        await self._write_back(claim.ref)
        if not foreseen(Status.SYNCING, settlement.status, settlement.result):
            change = f"{settlement.status} by {settlement.result!r}"
            self._tell(Noted(f"{claim.ref}: docs/states.md lacks {change}", logging.ERROR))
        problem = settlement.problem
        if claim.zoho_id and problem and problem.error_class is ErrorClass.NOT_FOUND:
            reason = too_many_missing(await self._records.missing_lately())
            if reason is not None:
                await self._gate.pause(reason)

    async def _write_back(self, ref: Ref) -> None:
        """Show the user's table how the record stands; a failure is told, and is only that."""
        if self._writeback is None:
            return
        try:
            await self._writeback.write([ref])
        except DatabaseError as error:
            self._tell(Noted(f"{ref} was not written back: {error}", logging.WARNING))

    async def _scene(self, claim: Claim, step: Step, reply: Reply | None, started: float) -> Scene:
        taken: dict[str, Ref] = {}
        promised: dict[str, frozenset[Ref]] = {}
        if isinstance(reply, Found):
            ids = [candidate.zoho_id for candidate in reply.candidates]
            taken = await self._records.taken(claim.ref.kind, ids)
            if isinstance(step, Find) and step.purpose is Purpose.LINK:
                promised = await self._records.promised(claim.ref.kind, ids)
        elapsed = timedelta(seconds=self._clock.monotonic() - started)
        return Scene(
            now=claim.claimed_at + elapsed,
            policy=self._settings.policy,
            marker=self._source.marker(claim.ref),
            marker_field=self._settings.marker_field,
            roll=self._chance.random(),
            down=self._gate.down,
            taken=taken,
            promised=promised,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; then finish what is under way and give the rest back."""
        async with asyncio.TaskGroup() as tasks:
            while not stop.is_set():
                try:
                    nap_s = self._nap_s(await self._take(tasks))
                except DatabaseError as error:
                    self._tell(Noted(f"the database: {error}", logging.WARNING))
                    nap_s = self._settings.poll_s
                if self._free() <= 0:
                    nap_s = self._settings.poll_s  # an attempt that ends wakes us earlier
                if nap_s:
                    await self._nap(nap_s, stop)
            self._gate.close()  # what still waits for leave is given back unspent

    async def _take(self, tasks: asyncio.TaskGroup) -> NextDue:
        """Fold marks, claim for the free slots, read rows and parents, start the attempts.

        Returns what is left to do.
        """
        held = Counter(lane_of(claim.priority) for claim in self._live.values())
        settings = self._settings
        claims, left = await self._records.take(
            places_of(settings.slots, settings.reserve, held, self._gate.size)
        )
        if not claims:
            return left
        self._live.update((claim.ref, claim) for claim in claims)
        self._held.set()
        wanted: dict[Ref, Desired | None] = {}
        try:
            wanted = await self._source.desired(claim.ref for claim in claims)
            slots = [slot for desired in wanted.values() if desired for slot in desired.slots]
            parents = await self._records.parents(slot.parent for slot in slots)
        except DatabaseError:
            wanted = {}
            raise
        finally:
            for claim in claims:  # what was not read is not kept alive: its lease runs out
                if claim.ref not in wanted:
                    del self._live[claim.ref]
        for claim in claims:
            if claim.ref in wanted:
                tasks.create_task(self._guarded(claim, wanted[claim.ref], parents))
        return left

    def _free(self) -> int:
        """Places that any record may take; the reserve stays free for live ones."""
        return self._open - len(self._live)

    def _roomy(self) -> bool:
        """Whether half of those places are free: worth a look for work."""
        return self._free() * 2 >= self._open

    async def _guarded(
        self, claim: Claim, desired: Desired | None, parents: Mapping[Ref, ParentView]
    ) -> None:
        """An attempt whose own failure harms nobody: the lease runs out and somebody rescues it."""
        try:
            await self.attempt(claim, desired, parents)
        except LeaseLostError as error:
            self._tell(Noted(str(error), logging.WARNING))
        except DatabaseError as error:
            self._tell(Noted(f"{claim.ref}: {error}", logging.WARNING))
        except Exception as error:  # noqa: BLE001  one record's bug must not stop the others
            self._tell(Noted(f"{claim.ref}: a bug: {error!r}", logging.ERROR))
        finally:
            self._live.pop(claim.ref, None)
            self._news.set()
            if self._roomy():
                self._room.set()

    def _nap_s(self, due: NextDue) -> float:
        """How long until there is something to do."""
        if due.marks:
            return HELD_S
        if due.paused or due.overloads >= DOWN_AFTER:
            return self._settings.poll_s
        soon = [seconds for seconds in (due.due_in_s, self._settings.poll_s) if seconds is not None]
        return max(0.005, min(soon), min(due.closed_for_s or 0.0, self._settings.poll_s))

    async def _nap(self, seconds: float, stop: asyncio.Event) -> None:
        with contextlib.suppress(TimeoutError):
            async with self._clock.timeout(seconds):
                while not self._news.is_set() and not stop.is_set():
                    await self._news.wait()
        self._news.clear()
        if not self._roomy() and not stop.is_set():
            with contextlib.suppress(TimeoutError):  # slots fill up in groups: fewer round trips
                async with self._clock.timeout(GATHER_S):
                    await self._room.wait()
        self._room.clear()

    def wake(self) -> None:
        """Look for work now."""
        self._news.set()
        self._room.set()

    async def keep_leases(self) -> None:
        """Let the leases of live claims run on, until cancelled."""
        while True:
            if not self._live:
                self._held.clear()
                await self._held.wait()
            await self._clock.sleep(self._settings.heartbeat_s)
            try:
                await self._records.extend_leases(list(self._live.values()))
            except DatabaseError as error:
                self._tell(Noted(f"leases could not be extended: {error}", logging.WARNING))


async def unless_renamed(step: Transition, claim: Claim, source: Source, records: Records) -> Step:
    """The ending of what is gone, or what comes before it: its row may have another key."""
    kind = KINDS[claim.ref.kind]
    if claim.identity is None or not tells(kind, claim.identity):
        return step
    try:
        refs = await source.alike(kind.name, naming(kind, claim.identity))
    except DatabaseError as error:
        return Later(f"nobody can tell if its row has another key: {error.what}", gone=True)
    rows = [row for row in (await source.desired(refs)).values() if row]
    return outlived(step, claim, rows, await records.parents(row.ref for row in rows))


def _ended(
    claim: Claim, settlement: Settlement, note: AttemptNote, settled: Settled
) -> AttemptEnded:
    problem = settlement.problem
    return AttemptEnded(
        ref=claim.ref,
        step=note.step,
        result=settlement.result,
        status=str(settled.status),
        calls=settled.calls,
        duration_ms=note.duration_ms,
        message=problem.message if problem else None,
    )
