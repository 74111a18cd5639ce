"""Passes over whole kinds: mark for a backfill, rehearse it, examine the mapping, watch it go."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from zohosync.clock import Clock
from zohosync.core.checks import Fault, RowChecks
from zohosync.core.figures import Tally, calls_of
from zohosync.core.forecast import Standing, remaining_s
from zohosync.core.kinds import KINDS, MAPPED
from zohosync.core.money import CURRENCY, Money
from zohosync.core.plan import Policy, plan
from zohosync.core.records import BULK, Claim, Desired, ParentView, Ref, Status
from zohosync.core.steps import Fail, Skip, Step, Wait, planned_operation
from zohosync.errors import DatabaseError, DatabaseUnavailableError, ZohosyncError
from zohosync.store.capture import Watch
from zohosync.store.history import History, Progress
from zohosync.store.inspection import Inspection, unreadable
from zohosync.store.records import Records
from zohosync.store.source import Source
from zohosync.store.usage import Usage, limits_in_force, standing_of

Tell = Callable[[str, int], None]
"""Told of each kind and how many of its rows are done."""

See = Callable[[Desired, Claim, Step], None]
"""Shown each row that a rehearsal plans, with what is known of its record."""

SAMPLES = 5
"""Sample keys that a rehearsal keeps of each kind's failures."""


BATCH = 250
"""Rows of a mapping planned at once. The reading transaction idles meanwhile, 2 s at most."""


async def mark_all(source: Source, kinds: Sequence[str], tell: Tell) -> dict[str, int]:
    """Mark every row of these kinds, parents first, in the lane of backfills; returns how many."""
    marked = {}
    for kind in (name for name in MAPPED if name in kinds):
        marked[kind] = await source.mark_all(kind, priority=BULK)
        tell(kind, marked[kind])
    return marked


@dataclass(slots=True)
class Rehearsal:
    """What a backfill would do: steps and calls per kind, and a few of the rows that would fail.

    `older_rows` and `older_calls` are of rows whose own date lies before the day asked about.
    """

    tallies: dict[str, Tally] = field(default_factory=dict)
    failures: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    rows: int = 0
    older_rows: int = 0
    older_calls: int = 0

    @property
    def calls(self) -> int:
        """All calls together."""
        return sum(tally.calls for tally in self.tallies.values())


class Rehearser:
    """Plans every row of a mapping with the very code that a worker runs, and acts on none.

    Parents that would be made are taken for made, so that their children are planned as well.
    """

    def __init__(
        self,
        source: Source,
        policy: Policy,
        *,
        records: Records | None,
        history: History | None,
        since: date | None = None,
        money: Money | None = None,
        see: See | None = None,
    ) -> None:
        """Without `records` and `history` (no schema yet) every row is a new one.

        What is dated before `since` is counted apart, too; `money` adds up what would move, and
        `see` is shown every row.
        """
        self._source = source
        self._since = since
        self._policy = policy
        self._records = records
        self._history = history
        self._money = money
        self._see = see
        self._lent: set[Ref] = set()
        self._views: dict[Ref, ParentView] = {}
        self.result = Rehearsal()

    async def take(self, kind: str, wanted: Sequence[Desired]) -> None:
        """Plan a batch of rows of one kind; call with parents before children."""
        if self._money is not None:
            await self._borrow(self._money, wanted)
        tally = self.result.tallies.setdefault(kind, Tally())
        for desired, claim, step in await self.steps(kind, wanted):
            calls = calls_of(step, KINDS[kind], desired.state)
            tally.add(planned_operation(step), calls)
            if self._since and _dated_before(self._since, desired):
                self.result.older_rows += 1
                self.result.older_calls += calls
            self._views[desired.ref] = _afterwards(desired, claim, step)
            if self._money is not None:
                self._money.note(desired)
                self._money.take(desired, claim, step)
            if self._see is not None:
                self._see(desired, claim, step)
            if isinstance(step, Fail):
                failures = self.result.failures.setdefault(kind, [])
                if len(failures) < SAMPLES:
                    failures.append((desired.ref.key, step.problem.message))
        self.result.rows += len(wanted)

    async def steps(
        self, kind: str, wanted: Sequence[Desired]
    ) -> list[tuple[Desired, Claim, Step]]:
        """The step of each row of one kind, and what is known of its record; nothing is counted."""
        keys = [desired.ref.key for desired in wanted]
        known = await self._history.known(kind, keys) if self._history else {}
        parents = await self._parents(wanted)
        claims = [known.get(desired.ref.key) or fresh(desired.ref) for desired in wanted]
        return [
            (desired, claim, plan(desired, claim, parents, self._policy))
            for desired, claim in zip(wanted, claims, strict=True)
        ]

    async def _borrow(self, money: Money, wanted: Sequence[Desired]) -> None:
        """Read what rows of kinds outside of this pass lend to these: a currency, a price."""
        named = {slot.parent for desired in wanted for slot in desired.slots} - self._lent
        asked = [
            ref
            for ref in named
            if ref.kind not in self.result.tallies and _lends(self._source, ref.kind)
        ]
        self._lent.update(asked)
        for lender in (await self._source.desired(asked)).values():
            if lender is not None:
                money.note(lender)

    async def _parents(self, wanted: Sequence[Desired]) -> dict[Ref, ParentView]:
        named = {slot.parent for desired in wanted for slot in desired.slots}
        unknown = [ref for ref in named if ref not in self._views]
        if unknown and self._records is not None:
            self._views.update(await self._records.parents(unknown))
        for ref in unknown:
            if KINDS[ref.kind].internal and not getattr(self._views.get(ref), "zoho_id", None):
                # A tax or an item: looked for once, and an item made where there is none.
                self._views[ref] = ParentView(ref, "to be found", status=Status.SYNCED)
                self.result.tallies.setdefault(ref.kind, Tally()).add("link", 1)
        return {ref: self._views[ref] for ref in named if ref in self._views}


async def rehearse(rehearser: Rehearser, source: Source, kinds: Sequence[str], tell: Tell) -> None:
    """Plan every row of these kinds; the outcome is `rehearser.result`. Spends no call."""
    for kind in (name for name in MAPPED if name in kinds):
        done = 0
        async with aclosing(batches(source, kind)) as found:
            async for rows in found:
                await rehearser.take(kind, [source.as_desired(kind, row) for row in rows])
                done += len(rows)
                tell(kind, done)


async def batches(source: Source, kind: str) -> AsyncGenerator[list[dict[str, Any]], None]:
    """Every row of a mapping in batches, read ahead by a task of its own.

    The reading transaction is that task's, so whoever takes the batches may ask the database.
    """
    queue: asyncio.Queue[list[dict[str, Any]] | None] = asyncio.Queue(maxsize=4)
    failed: list[ZohosyncError] = []

    async def read() -> None:
        try:
            async with aclosing(source.all_rows(kind, batch=BATCH)) as found:
                async for rows in found:
                    await queue.put(rows)
        except ZohosyncError as error:
            failed.append(error)
        await queue.put(None)

    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(read())
        try:
            while (rows := await queue.get()) is not None:
                yield rows
        except GeneratorExit:  # whoever took them has enough: no error for the group to report
            return
        finally:
            reading.cancel()
    if failed:
        raise failed[0]


async def examine(
    source: Source,
    inspection: Inspection,
    watches: Sequence[Watch],
    *,
    rehearser: Rehearser,
    tell: Tell,
) -> list[Fault]:
    """Everything wrong with the mappings that the database accepts; spends no call.

    Reads every row of every mapping, and plans it: `rehearser.result` says what a backfill takes.
    """
    faults: list[Fault] = []
    for watch in watches:
        wrong = await inspection.watch_fault(watch)
        if wrong is not None:
            faults.append(wrong)
    rows = RowChecks(source.kinds)
    for kind in source.kinds:
        done = 0
        try:
            faults += await inspection.faults(source.mapped(kind), watches)
            async with aclosing(batches(source, kind)) as found:
                async for batch in found:
                    wanted = [source.as_desired(kind, row) for row in batch]
                    for desired in wanted:
                        rows.take(desired)
                    await rehearser.take(kind, wanted)
                    done += len(wanted)
                    tell(kind, done)
        except DatabaseUnavailableError:
            raise
        except DatabaseError as error:
            faults.append(unreadable(kind, error))
    return [*faults, *rows.faults()]


def _lends(source: Source, kind: str) -> bool:
    """Whether children of this kind's rows take a currency or a price from them."""
    if kind not in source.kinds:
        return False
    worth = KINDS[kind].worth
    return (worth is not None and worth.lends) or CURRENCY in dict(source.mapped(kind).columns)


def fresh(ref: Ref) -> Claim:
    """A record of which nothing is known yet."""
    return Claim("", ref, 1, 0, BULK, datetime.fromtimestamp(0, UTC))


def _dated_before(since: date, desired: Desired) -> bool:
    """Whether the row's own date (its kind's first one) lies before that day."""
    dates = KINDS[desired.ref.kind].dates
    said = next((desired.payload[name] for name in dates if desired.payload.get(name)), None)
    return said is not None and str(said)[:10] < since.isoformat()


def _afterwards(desired: Desired, claim: Claim, step: Step) -> ParentView:
    """The record as its children would find it, had the step been taken."""
    if isinstance(step, Fail | Wait | Skip):
        status = Status.FAILED if isinstance(step, Fail) else Status.SKIPPED
        return ParentView(desired.ref, claim.zoho_id, claim.remote_state, status)
    state = desired.state or KINDS[desired.ref.kind].states.initial
    return ParentView(desired.ref, claim.zoho_id or "to be made", state, Status.SYNCED)


@dataclass(frozen=True, slots=True)
class Look:
    """One look at work in progress: `eta_s` seconds to its end by limits and pace, if it ends."""

    progress: Progress
    done: int
    total: int
    eta_s: float | None
    closed_for_s: float | None
    closed_reason: str | None
    calls_today: int


@dataclass(slots=True)
class _Spent:
    """What a pass has seen being spent: calls, and seconds in which one could call."""

    at_s: float
    calls_today: int
    calls: int = 0
    open_s: float = 0.0

    def look(self, now_s: float, calls_today: int, closed_for_s: float | None) -> None:
        if calls_today >= self.calls_today:  # else a new day has begun
            self.calls += calls_today - self.calls_today
        if not closed_for_s or closed_for_s <= 0:
            self.open_s += now_s - self.at_s
        self.at_s, self.calls_today = now_s, calls_today


async def looks(
    history: History,
    usage: Usage,
    *,
    clock: Clock,
    every_s: float = 1.0,
    until: asyncio.Event | None = None,
) -> AsyncGenerator[Look, None]:
    """Look at the work again and again; ends when nothing moves any more, or when `until` is set.

    The total grows with what arrives meanwhile. A record that waits for a resting parent is done.
    """
    before: Standing | None = await usage.standing()
    spent: _Spent | None = None
    most = 0
    while True:
        progress = await history.progress()
        organization = await history.organization() or {}
        left, calls_today = progress.moving, organization.get("calls_today") or 0
        most = max(most, left)
        done, eta_s = most - left, None
        closed_for_s = organization.get("closed_for_s")
        spent = spent or _Spent(clock.monotonic(), calls_today)
        spent.look(clock.monotonic(), calls_today, closed_for_s)
        if before is not None and organization:
            standing = standing_of(organization, arrivals=before.arrivals, foreign=before.foreign)
            eta_s = remaining_s(
                left, limits_in_force(organization), standing,
                done=done, calls=spent.calls, open_s=spent.open_s,
            )  # fmt: skip
        yield Look(
            progress, done, most, eta_s, closed_for_s, organization.get("closed_reason"),
            calls_today,
        )  # fmt: skip
        if (left == 0 and until is None) or (until is not None and until.is_set()):
            return
        await clock.sleep(every_s)
