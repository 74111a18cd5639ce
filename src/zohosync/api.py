"""The Python API for applications: mark a record, wait for it, and ask how things stand."""

import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from zohosync.bootstrap import open_database, organization_id
from zohosync.clock import Clock, SystemClock
from zohosync.core.kinds import MAPPED
from zohosync.core.mapping import key_fault
from zohosync.core.reasons import Ending, Story, ended
from zohosync.core.records import LIVE, NORMAL, Ref
from zohosync.core.sections import Caches
from zohosync.errors import (
    NoWorkerError,
    OrganizationClosedError,
    SchemaError,
    SettingsError,
    TimeLimitError,
    UnknownKindError,
    UnknownRecordError,
    ZohosyncError,
)
from zohosync.settings import Settings, load
from zohosync.store.database import Database, Row
from zohosync.store.health import Vitals
from zohosync.store.history import History, active_organization
from zohosync.store.migrate import verify
from zohosync.store.usage import Usage, values_of

__all__ = [
    "Ending", "Health", "KindHealth", "Outcome", "RecordStatus", "Sync", "Why", "connect",
]  # fmt: skip

KEPT_MAX = 10_000
"""Statuses that are remembered at the most; the oldest goes first."""

LOOK_EVERY_S = 0.25
"""How often `sync_now` looks whether its record is in step."""

WORKERS_EVERY_S = 5.0
"""How often it looks whether anybody works."""


@dataclass(frozen=True, slots=True)
class RecordStatus:
    """How one record stands. `status` is one of those in docs/states.md; instants are UTC."""

    kind: str
    key: str
    status: str
    in_step: bool
    zoho_id: str | None
    remote_state: str | None
    synced_at: datetime | None
    reason: str | None
    field: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How `sync_now` ended: in step, or why not; `next_step` says what to do then."""

    ending: Ending
    record: RecordStatus
    lines: tuple[str, ...]
    next_step: str

    @property
    def in_step(self) -> bool:
        """Whether Zoho has what the row says."""
        return self.ending is Ending.IN_STEP


@dataclass(frozen=True, slots=True)
class Why:
    """What `zohosync why` answers: `lines` for people, `values` as its --json."""

    record: RecordStatus
    lines: tuple[str, ...]
    next_step: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class KindHealth:
    """How many records of a kind stand where, and since when the oldest is due."""

    kind: str
    total: int
    linked: int
    by_status: Mapping[str, int]
    oldest_due: datetime | None


@dataclass(frozen=True, slots=True)
class Health:
    """How the organisation stands: who works, what holds it up, and its kinds.

    `state` (healthy, degraded, unhealthy) and its `troubles` are what the leading worker judged at
    `judged_at`, once an hour; None where it never did. All else is of this moment.
    """

    organization: str
    mode: str
    state: str | None
    troubles: tuple[str, ...]
    judged_at: datetime | None
    workers: int
    paused: str | None
    paused_kinds: tuple[str, ...]
    closed_for_s: float
    closed_reason: str | None
    calls_today: int
    kinds: tuple[KindHealth, ...]


def connect(
    project: str | Path = ".",
    *,
    url: str | None = None,
    settings: Settings | None = None,
    clock: Clock | None = None,
) -> AbstractAsyncContextManager["Sync"]:
    """`async with zohosync.connect() as sync:` the project's records, read and marked.

    With the project's folder, with `settings` that were loaded already, or with the `url` of its
    database alone (then the organisation that is active there). Makes no call and needs no
    credentials. Raises SettingsError (no such project, no organisation), DatabaseUnavailableError,
    SchemaError (not migrated).
    """
    return _connected(Path(project), url, settings, clock or SystemClock())


@contextlib.asynccontextmanager
async def _connected(
    project: Path, url: str | None, settings: Settings | None, clock: Clock
) -> AsyncIterator["Sync"]:
    if url is not None and settings is None:
        database = await Database.open(url)
        try:
            await verify(database)
            org_id = await active_organization(database)
            if org_id is None:
                raise _not_registered("the database", database.place)
            yield Sync(database, org_id, clock=clock)
        finally:
            await database.close()
        return
    loaded = settings or load(project)
    async with open_database(loaded) as database:
        org_id = organization_id(loaded)
        yield Sync(database, org_id, clock=clock, caches=loaded.caches)


class Sync:
    """One organisation's records. Use `connect`; one per process may serve all of its tasks."""

    def __init__(
        self, database: Database, org_id: str, *, clock: Clock, caches: Caches | None = None
    ) -> None:
        """Nothing is read yet."""
        self._database = database
        self._org_id = org_id
        self._history = History(database, org_id)
        self._clock = clock
        self._kept = _Kept(clock.monotonic, (caches or Caches()).sync_status_ttl_s)

    async def mark(self, kind: str, key: str | int, *, priority: int = NORMAL) -> None:
        """Have the record brought into step; 10: a customer waits, 5: soon, 1: as a backfill.

        It is a transaction of its own: to mark within yours, `select zohosync.mark(…)` there.
        A key that no row has is no error: it is found to be so. Raises UnknownKindError,
        SettingsError (a key that no record can have), DatabaseError.
        """
        ref = _ref(kind, key)
        if not 0 <= priority <= LIVE:
            raise SettingsError(
                f"priority {priority} is none",
                next_step="say 10 (a customer waits), 5 (soon) or 1 (as a backfill)",
            )
        await self._history.mark([ref], priority=priority)
        self._kept.forget(ref)

    async def sync_now(self, kind: str, key: str | int, *, time_limit_s: float = 30.0) -> Outcome:
        """Mark it with priority 10, and wait until it is in step or cannot be by itself.

        What moves (a parent that is being made, a retry) is waited for. Nothing is sent from here:
        a worker does it. Raises TimeLimitError, NoWorkerError, OrganizationClosedError (a block or
        a pause that outlasts the time limit): the record stays marked then and is done later;
        and what `mark` raises.
        """
        ref = _ref(kind, key)
        await self._refuse_closed(ref, time_limit_s)
        before = await self._history.record(ref)
        await self.mark(kind, key, priority=LIVE)
        since = 0 if before is None else int(before["version"])
        give_up_at = self._clock.monotonic() + time_limit_s
        look_for_workers_at = self._clock.monotonic()
        while True:
            left_s = give_up_at - self._clock.monotonic()
            story = await self._history.story(ref)
            if story is not None:
                ending = ended(story.record, story.chain, since, left_s)
                if ending is not None:
                    return self._outcome(ref, ending, story)
            if left_s <= 0:
                raise _too_late(ref, time_limit_s, story)
            if self._clock.monotonic() >= look_for_workers_at:
                look_for_workers_at = self._clock.monotonic() + WORKERS_EVERY_S
                await self._refuse_idle(ref)
            await self._clock.sleep(min(LOOK_EVERY_S, left_s))

    async def status(self, kind: str, key: str | int) -> RecordStatus:
        """How the record stands, for display: up to `cache.sync_status_ttl_s` (30 s) old.

        What this object marks or waits for is never shown as it was before. Raises
        UnknownKindError, UnknownRecordError, DatabaseError.
        """
        ref = _ref(kind, key)
        kept = self._kept.get(ref)
        if kept is None:
            turn = self._kept.forgotten
            record = await self._history.record(ref)
            if record is None:
                raise _unknown(ref)
            kept = _status(record)
            self._kept.put(ref, kept, turn)
        return kept

    async def why(self, kind: str, key: str | int) -> Why:
        """Why the record stands where it does: what `zohosync why KIND KEY` answers.

        Raises UnknownKindError, UnknownRecordError, DatabaseError.
        """
        ref = _ref(kind, key)
        story = await self._history.story(ref)
        if story is None:
            raise _unknown(ref)
        return Why(
            _status(story.record), tuple(story.lines()), story.next_step(), story.as_values()
        )

    async def health(self) -> Health:
        """How the organisation stands. Raises SchemaError (not registered yet), DatabaseError."""
        organization = await self._organization()
        alive, oldest = await self._history.alive(), await self._history.oldest_due()
        noted = await Vitals(self._database, self._org_id).noted() or {}
        return Health(
            organization=self._org_id,
            mode=organization["mode"],
            state=noted.get("state"),
            troubles=tuple(f"{each['name']}: {each['words']}" for each in noted.get("checks", ())),
            judged_at=noted.get("judged_at"),
            workers=len(alive),
            paused=organization["paused"],
            paused_kinds=tuple(organization["paused_kinds"]),
            closed_for_s=max(0.0, organization["closed_for_s"] or 0.0),
            closed_reason=organization["closed_reason"],
            calls_today=organization["calls_today"],
            kinds=tuple(_kind_health(await self._history.counts(), oldest)),
        )

    async def usage(self, days: int = 7) -> Mapping[str, Any]:
        """The calls of the last days, today included: what `zohosync report --usage --json` says.

        Raises SchemaError (not registered yet), DatabaseError.
        """
        used = await Usage(self._database, self._org_id).used(days)
        if used is None:
            raise _not_registered(f"organisation {self._org_id}", self._database.place)
        return values_of(used, days)

    def _outcome(self, ref: Ref, ending: Ending, story: Story) -> Outcome:
        self._kept.forget(ref)
        lines = tuple(story.lines())
        return Outcome(ending, _status(story.record), lines, story.next_step())

    async def _organization(self) -> Row:
        organization = await self._history.organization()
        if organization is None:
            raise _not_registered(f"organisation {self._org_id}", self._database.place)
        return organization

    async def _refuse_closed(self, ref: Ref, time_limit_s: float) -> None:
        """Mark it and say so where nothing may call Zoho for longer than anybody waits."""
        organization = await self._organization()
        closed_s = organization["closed_for_s"] or 0.0
        why = step = None
        if organization["paused"]:
            why, step = f"paused: {organization['paused']}", "mend that, then zohosync resume"
        elif ref.kind in organization["paused_kinds"]:
            why, step = f"paused for {ref.kind}", f"zohosync resume {ref.kind}"
        elif closed_s > time_limit_s:
            why = f"closed for {closed_s:.0f} s more: {organization['closed_reason']}"
            step = "wait: it opens by itself"
        if why is not None:
            await self.mark(ref.kind, ref.key, priority=LIVE)
            raise OrganizationClosedError(
                f"Organisation {self._org_id} is {why}; {ref} is marked",
                place=self._database.place,
                next_step=step or "",
            )

    async def _refuse_idle(self, ref: Ref) -> None:
        if not await self._history.alive():
            raise NoWorkerError(
                f"No worker is alive; {ref} is marked, and is done once one runs",
                place=self._database.place,
                next_step="start `zohosync run`",
            )


@dataclass(slots=True)
class _Kept:
    """The statuses that were shown lately, bounded, each for `ttl_s`.

    What was read while something was `forgotten` is not kept: it may be of before.
    """

    monotonic: Callable[[], float]
    ttl_s: float
    _shown: OrderedDict[Ref, tuple[float, RecordStatus]] = field(default_factory=OrderedDict)
    forgotten: int = 0

    def get(self, ref: Ref) -> RecordStatus | None:
        shown = self._shown.get(ref)
        if shown is not None and self.monotonic() < shown[0]:
            return shown[1]
        self._shown.pop(ref, None)
        return None

    def put(self, ref: Ref, status: RecordStatus, turn: int) -> None:
        if turn != self.forgotten:
            return
        self._shown[ref] = (self.monotonic() + self.ttl_s, status)
        self._shown.move_to_end(ref)
        while len(self._shown) > KEPT_MAX:
            self._shown.popitem(last=False)

    def forget(self, ref: Ref) -> None:
        self.forgotten += 1
        self._shown.pop(ref, None)


def _ref(kind: str, key: str | int) -> Ref:
    if kind not in MAPPED:
        raise UnknownKindError(
            f"There is no kind {kind!r}", next_step=f"the kinds are {', '.join(MAPPED)}"
        )
    fault = key_fault(key)
    if fault is not None:
        raise SettingsError(f"{kind}: {fault}", next_step="give the `key` of the mapping, as text")
    return Ref(kind, str(key))


def _status(record: Mapping[str, Any]) -> RecordStatus:
    in_step = record["status"] == "synced" and record["synced_version"] >= record["version"]
    return RecordStatus(
        kind=record["kind"],
        key=record["key"],
        status=record["status"],
        in_step=in_step and not record["marked"],
        zoho_id=record["zoho_id"],
        remote_state=record["remote_state"],
        synced_at=record["success_at"],
        reason=record["error_message"],
        field=record["error_field"],
    )


def _kind_health(rows: list[Row], oldest: Mapping[str, datetime]) -> Iterator[KindHealth]:
    for kind in MAPPED:
        by_status = {row["status"]: row["records"] for row in rows if row["kind"] == kind}
        if by_status:
            linked = sum(row["linked"] for row in rows if row["kind"] == kind)
            yield KindHealth(kind, sum(by_status.values()), linked, by_status, oldest.get(kind))


def _unknown(ref: Ref) -> UnknownRecordError:
    step = f"mark it, or see that the key is the mapping's: zohosync why {ref.arguments}"
    return UnknownRecordError(f"{ref} is not known: nothing has marked it yet", next_step=step)


def _too_late(ref: Ref, time_limit_s: float, story: Story | None) -> ZohosyncError:
    how = story.lines()[0] if story else f"{ref}: a worker has not seen its mark yet"
    return TimeLimitError(
        f"{ref} was not in step within {time_limit_s:g} s ({how}); it stays marked, and goes on",
        next_step=f"zohosync why {ref.arguments}",
    )


def _not_registered(what: str, place: str) -> SchemaError:
    words = f"No organisation is registered: {what} knows of none yet"
    return SchemaError(words, place=place, next_step="run `zohosync migrate`, then `zohosync run`")
