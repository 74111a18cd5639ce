"""What the store promises of a record's life, as plain rules over plain values: no SQL, no cases.

Where the promise leaves room (how long an update may wait for the next one), the model keeps a
span of time instead of an instant.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from zohosync.core.records import LIVE, NORMAL, Claim, ErrorClass, Ref, Status
from zohosync.core.settlement import IntentAfter, Settlement

LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)
AT_REST = frozenset({Status.SYNCED, Status.FAILED, Status.SKIPPED})
KEEPS_ITS_TIME = frozenset({Status.SYNCING, Status.RETRYING, Status.UNCERTAIN})
Span = tuple[datetime, datetime]


@dataclass(slots=True)
class Lease:
    worker: str
    epoch: int
    until: datetime


@dataclass(slots=True)
class Intent:
    call_id: int
    absent: bool = False
    duplicate: bool = False


@dataclass(slots=True)
class Record:
    """`due` is the span in which its time lies; `changed`: its version must have risen."""

    status: Status = Status.PENDING
    version: int = 0
    changed: bool = True
    in_step: int = 0
    urgency: int = 0
    due: Span | None = None
    epoch: int = 0
    lease: Lease | None = None
    intent: Intent | None = None
    waits_for: Ref | None = None
    needs: frozenset[str] = frozenset()
    attempts: int = 0
    zoho_id: str | None = None
    state: str | None = None
    doubted: bool = False
    lost: bool = False
    gone: bool = False
    done_at: datetime = LONG_AGO

    @property
    def dirty(self) -> bool:
        return self.changed or self.version > self.in_step

    def as_needed(self, needs: frozenset[str]) -> bool:
        return self.zoho_id is not None and not self.lost and (not needs or self.state in needs)

    def ready(self, child: "Record") -> bool:
        return self.as_needed(child.needs) and not self.doubted


@dataclass(slots=True)
class Book:
    """All records, the marks that are not folded yet, and what stands in the way of claims."""

    now: datetime
    lease: timedelta
    debounce: timedelta
    records: dict[Ref, Record] = field(default_factory=dict)
    marks: list[tuple[str, str | None, int]] = field(default_factory=list)
    paused_kinds: set[str] = field(default_factory=set)
    paused: bool = False
    closed_until: datetime = LONG_AGO
    down: bool = False

    @property
    def at_once(self) -> Span:
        return (self.now, self.now)

    @property
    def by_now(self) -> Span:
        return (LONG_AGO, self.now)

    def fold(self, limit: int) -> int:
        taken, self.marks = self.marks[:limit], self.marks[limit:]
        named: dict[Ref, int] = {}
        for kind, key, urgency in taken:
            if key is not None:
                ref = Ref(kind, key)
                named[ref] = max(urgency, named.get(ref, 0))
        for kind, key, _ in taken:  # a truncated table
            for ref in self.records if key is None else ():
                if ref.kind == kind and ref not in named:
                    named[ref] = NORMAL
        for ref, urgency in named.items():
            self.changes(self.records.setdefault(ref, Record()), urgency)
        return len(taken)

    def changes(self, record: Record, urgency: int) -> None:
        """What rests is soon to be done; who has a back-off, a lease or an intent keeps its time.

        An update may wait for the next one until `debounce` after the last success, no longer.
        """
        settled = record.due is None and not record.dirty
        record.urgency = urgency if settled else max(urgency, record.urgency)
        record.changed = True
        if record.due is None or record.status is Status.WAITING:
            record.due = self.at_once
            if record.status is Status.SYNCED and urgency == NORMAL:
                after = max(self.now, record.done_at + self.debounce)
                record.due = (after, after)
        elif record.status is Status.PENDING and urgency >= LIVE:
            record.due = self.at_once
        if record.status in AT_REST:
            record.status = Status.PENDING

    def open(self) -> bool:
        return not (self.paused or self.down or self.closed_until > self.now)

    def waits_for_a_worker(self, ref: Ref) -> bool:
        """Whether it is due, apart from what stands in the way of the whole organisation."""
        record = self.records[ref]
        free = record.lease is None and ref.kind not in self.paused_kinds
        return free and record.due is not None and record.due[1] <= self.now

    def claim(self, claim: Claim, worker: str) -> None:
        record = self.records[claim.ref]
        record.status = Status.SYNCING
        record.lease = Lease(worker, claim.epoch, self.now + self.lease)

    def holds(self, claim: Claim) -> bool:
        lease = self.records[claim.ref].lease
        return lease is not None and lease.epoch == claim.epoch

    def give_back(self, record: Record) -> None:
        record.status = Status.UNCERTAIN if record.intent else Status.PENDING
        record.lease, record.due = None, self.by_now

    def suspect(self, ref: Ref, urgency: int) -> None:
        record = self.records[ref]
        if record.zoho_id is None:
            return
        record.doubted, record.urgency = True, max(record.urgency, urgency)
        if record.status in AT_REST:
            record.status = Status.PENDING
        if record.status not in KEEPS_ITS_TIME:
            record.due = self.at_once

    def park(self, ref: Ref, urgency: int) -> None:
        record = self.records.setdefault(ref, Record(urgency=urgency, due=self.by_now))
        if record.due is not None and record.urgency < urgency:
            record.urgency = urgency
            if record.status is Status.PENDING:
                record.due = self.by_now

    def settle(self, claim: Claim, end: Settlement) -> None:
        """What the attempt says, unless it speaks of what is no longer so: then it goes on."""
        record, after, waits_for = self.records[claim.ref], end.status, end.waiting_on
        due = None
        if end.due_in_s is not None:
            at = self.now + timedelta(seconds=end.due_in_s)
            due = (at if end.due_in_s else LONG_AGO, at)
        if waits_for and end.suspect:
            self.suspect(waits_for, claim.priority)
        elif waits_for:
            self.park(waits_for, claim.priority)
            if self.records[waits_for].as_needed(end.waiting_needs):
                after, due, waits_for = Status.PENDING, self.by_now, None
        record.doubted = record.doubted and not end.checked
        looked = end.checked or (claim.check and claim.intent is None)
        overtaken = record.version > claim.version or (record.doubted and not looked)
        if overtaken and after in {*AT_REST, Status.WAITING}:
            due = self.by_now
            if after is Status.SYNCED and record.urgency < LIVE and not record.doubted:
                due = (self.now + self.debounce, self.now + self.debounce)
            after = after if after is Status.WAITING else Status.PENDING
        record.status, record.due, record.lease = after, due, None
        record.waits_for, record.needs = waits_for, end.waiting_needs if waits_for else frozenset()
        self.learn(record, claim, end)
        for child in self.records.values():
            waits = child.status is Status.WAITING and child.waits_for == claim.ref
            if waits and record.ready(child):
                child.status, child.due = Status.PENDING, self.by_now
                child.waits_for = None

    def learn(self, record: Record, claim: Claim, end: Settlement) -> None:
        if end.status in {Status.SYNCED, Status.SKIPPED}:
            record.in_step = claim.version
        if end.status is Status.SYNCED:
            record.done_at = self.now
        if end.intent is IntentAfter.CLOSE:
            record.intent = None
        elif record.intent:
            record.intent.absent |= end.intent is IntentAfter.ABSENT
            record.intent.duplicate |= end.intent is IntentAfter.DUPLICATE
        record.attempts = end.attempts
        record.zoho_id = end.zoho_id or record.zoho_id
        record.state = end.remote_state or record.state
        record.gone = record.gone if end.gone is None else end.gone
        problem = end.problem
        record.lost = problem is not None and problem.error_class is ErrorClass.NOT_FOUND


def stuck(book: Book) -> Sequence[Ref]:
    """Records that nothing moves any more: no time, no lease, no rest that a person sees."""

    def moves(record: Record) -> bool:
        return record.due is not None or record.lease is not None

    def has_exit(record: Record) -> bool:
        if moves(record) or record.status in AT_REST or record.status is Status.UNCERTAIN:
            return True
        parent = book.records.get(record.waits_for) if record.waits_for else None
        if record.status is not Status.WAITING or parent is None:
            return False
        return not parent.ready(record) or moves(parent)

    return [ref for ref, record in book.records.items() if not has_exit(record)]
