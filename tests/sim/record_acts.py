"""What can happen to records, done to the store and to the model alike, and compared after each."""

from collections.abc import Coroutine
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar

import pytest

from sim.record_kit import (
    CLEAN,
    DEBOUNCE_S,
    DONE,
    INVALID,
    KINDS_HERE,
    LEASE_S,
    NOON,
    NOTE,
    OPEN,
    ORG,
    PARENTS,
    PAYMENT,
    REFS,
    WORKERS,
    Ground,
    Hand,
    agree,
)
from sim.record_model import Book, Intent, Record, stuck
from zohosync.core.governor import DOWN_AFTER, Effect, JournalView, Limits
from zohosync.core.kinds import KINDS
from zohosync.core.lanes import Books, Choice
from zohosync.core.records import LANES, Ref, Status
from zohosync.core.settlement import Settlement
from zohosync.core.states import CHANGES, foreseen
from zohosync.errors import LeaseLostError
from zohosync.store.history import History
from zohosync.store.journal import Entry, Journal
from zohosync.store.organizations import pause_kinds
from zohosync.store.records import Records

T = TypeVar("T")


class Acts:
    """The store and the model side by side; each act raises where they part."""

    def __init__(self, ground: Ground) -> None:
        self.ground, self.database = ground, ground.database
        ground.at = NOON
        ground.sql(CLEAN)
        self.book = Book(NOON, timedelta(seconds=LEASE_S), timedelta(seconds=DEBOUNCE_S))
        self.here: set[Ref] = set()
        self.hands: list[Hand] = []
        self.workers = [
            Records(self.database, org_id=ORG, worker=name, lease_s=LEASE_S, debounce_s=DEBOUNCE_S)
            for name in WORKERS
        ]
        self.journal = Journal(
            self.database, org_id=ORG, worker="w", time_limit_s=30, mint_key="client"
        )
        self.history = History(self.database, ORG)
        self.statuses: dict[Ref, Status] = {}
        self.sound = True

    def act(self, work: Coroutine[Any, Any, T]) -> T:
        """Do it; until it is compared, nobody knows whether store and model have parted."""
        self.sound = False
        return self.ground.run(work)

    def compare(self, by: str, settled: Ref | None = None) -> None:
        """The rows are what the model says, and what changed is in the table of states."""
        self.sound = False
        rows = self.ground.rows()
        assert rows.keys() == self.book.records.keys()
        for ref, row in rows.items():
            agree(ref, self.book.records[ref], row)
            self.look_up(self.statuses.get(ref), Status(row["status"]), by, ref == settled)
        self.statuses = {ref: Status(row["status"]) for ref, row in rows.items()}
        assert not stuck(self.book), "at rest, and without an exit"
        assert not self.ground.miscounted()
        self.sound = True

    def look_up(self, before: Status | None, after: Status, by: str, settled: bool) -> None:
        """The table of states knows this change, and that this query makes it."""
        if before == after:
            return
        if by == "settle_record" and not settled:
            others = {None: "park_parent", Status.WAITING: "wake_children"}
            by = others.get(before, "suspect_parent")
        found = any((c.before, c.after, c.by) == (before, after, by) for c in CHANGES)
        assert found, f"docs/states.md lacks {before} → {after} by {by}"
        self.ground.seen.add((before, after, by))

    # ------------------------------------------------------------------ what the company does

    def changes(self, ref: Ref, *, remove: bool = False) -> None:
        """The row appears, changes or goes, and the trigger marks it."""
        if ref not in self.here:
            text, urgency = "insert into public.{} values (%(key)s)", KINDS[ref.kind].new_priority
        elif remove:
            text, urgency = "delete from public.{} where id = %(key)s", 5
        else:
            text, urgency = "update public.{} set id = id where id = %(key)s", 5
        self.here ^= {ref} if ref not in self.here or remove else set()
        self.ground.sql(text.format(ref.kind), key=ref.key)
        self.book.marks.append((ref.kind, ref.key, urgency))
        self.compare("trigger")

    def marks(self, ref: Ref, urgency: int) -> None:
        text = "select zohosync.mark(%(kind)s, %(key)s, %(urgency)s)"
        self.ground.sql(text, kind=ref.kind, key=ref.key, urgency=urgency)
        self.book.marks.append((ref.kind, ref.key, urgency))
        self.compare("mark")

    def truncates(self, kind: str) -> None:
        self.here -= {ref for ref in self.here if ref.kind == kind}
        self.ground.sql(f"truncate public.{kind}")
        self.book.marks.append((kind, None, 5))
        self.compare("trigger")

    # ------------------------------------------------------------------------ what workers do

    def folds(self, number: int, limit: int = 1_000) -> None:
        folded = self.act(self.workers[number].fold_marks(limit))
        assert folded == self.book.fold(limit)
        self.compare("fold_marks")

    def claims(self, number: int, limit: int, lanes: tuple[int, ...] = tuple(LANES)) -> list[Hand]:
        """Take what is due; judge what was taken and what was left."""
        book = self.book
        due = {
            ref: (lanes.index(record.urgency), record.due[0])
            for ref, record in book.records.items()
            if record.due and book.open() and book.waits_for_a_worker(ref)
            if record.urgency in lanes
        }
        claims = self.act(self.workers[number].claim(limit, lanes))
        taken = {claim.ref for claim in claims}
        assert taken <= due.keys(), "claimed, though it is not due"
        assert len(claims) == len(taken) == min(limit, len(due)), "due, and not claimed"
        assert all(due[ref] <= due[left] for ref in taken for left in due.keys() - taken)
        for claim in claims:
            record = book.records[claim.ref]
            intent = record.intent
            assert claim.epoch > record.epoch, "an epoch is given once"
            assert (claim.status, claim.version) == (record.status, record.version)
            assert (claim.check, claim.zoho_id) == (record.doubted, record.zoho_id)
            assert (claim.intent and claim.intent.call_id) == (intent and intent.call_id)
            if claim.intent and intent:
                remembered = (claim.intent.absent_at is not None, claim.intent.duplicate)
                assert remembered == (intent.absent, intent.duplicate)
            book.claim(claim, WORKERS[number])
        hands = [Hand(self.workers[number], claim) for claim in claims]
        self.hands += hands
        self.compare("claim_records")
        return hands

    def admits(self, hand: Hand) -> None:
        """Journal a write: it becomes the record's intent, but for who holds the lease only."""
        claim = hand.claim
        if claim.intent or claim.check or hand.wrote:
            return
        record = self.book.records[claim.ref]
        entry = Entry("api", 5, f"{claim.ref.kind}.create", "POST", "/", claim, writes=True)
        holds = self.book.holds(claim) and record.lease and record.lease.until > self.book.now
        granted = self.act(self.journal.admit([replace(entry, intent={"a": 1})], _grant))
        assert bool(granted.call_ids) == bool(holds)
        if holds:
            hand.wrote, record.intent = True, Intent(granted.call_ids[0])
        self.compare("open_calls")

    def settles(self, hand: Hand, end: Settlement, *, twice: bool = False) -> None:
        """Settle; without the lease, or for a second time, it changes nothing."""
        claim, book = hand.claim, self.book
        self.hands = [each for each in self.hands if each is not hand]
        others = [r for ref, r in book.records.items() if ref.kind == claim.ref.kind]
        others.remove(book.records[claim.ref])
        if book.holds(claim):
            assert foreseen(Status.SYNCING, end.status, end.result)
            settled = self.act(hand.records.settle(claim, end, NOTE))
            if end.zoho_id and any(other.zoho_id == end.zoho_id for other in others):
                attempts = claim.attempts + 1
                end = Settlement(Status.FAILED, "failed", problem=INVALID, attempts=attempts)
            book.settle(claim, end)
            assert settled.status is book.records[claim.ref].status
            self.compare("settle_record", claim.ref)
            if not twice:
                return
        with pytest.raises(LeaseLostError):
            self.act(hand.records.settle(claim, end, NOTE))
        self.compare("settle_record")

    def extends(self, number: int) -> None:
        mine = [hand.claim for hand in self.hands if hand.records is self.workers[number]]
        held = [claim for claim in mine if self.book.holds(claim)]
        assert self.act(self.workers[number].extend_leases(mine)) == len(held)
        for claim in held:
            lease = self.book.records[claim.ref].lease
            assert lease is not None
            lease.until = self.book.now + self.book.lease
        self.compare("extend_leases")

    def stops(self, number: int = 0) -> None:
        mine = [r for r in self.leased() if r.lease and r.lease.worker == WORKERS[number]]
        assert self.act(self.workers[number].release()) == len(mine)
        for record in mine:
            self.book.give_back(record)
        self.compare("release_worker")

    def rescues(self) -> None:
        silent = [r for r in self.leased() if r.lease and r.lease.until < self.book.now]
        assert self.act(self.workers[0].rescue()) == len(silent)
        for record in silent:
            self.book.give_back(record)
        self.compare("rescue_records")

    def leased(self) -> list[Record]:
        return [record for record in self.book.records.values() if record.lease]

    # ---------------------------------------------------------------------- time and operators

    def waits(self, seconds: float) -> None:
        self.ground.at += timedelta(seconds=seconds)
        self.book.now = self.ground.at

    def sleeps(self) -> bool:
        """Sleep as long as the store says; whether there was something to sleep for."""
        book = self.book
        due = self.act(self.workers[0].next_due())
        times = [
            record.due[0]
            for ref, record in book.records.items()
            if record.due and not record.lease and ref.kind not in book.paused_kinds
        ]
        first = (min(times) - book.now).total_seconds() if times else None
        assert due.due_in_s == (None if first is None else pytest.approx(first, abs=1e-5))
        assert due.marks == bool(book.marks)
        self.compare("next_due")
        if due.due_in_s is not None:
            self.waits(max(0.0, due.due_in_s) + 1e-6)
        return due.due_in_s is not None

    def retries(self, kind: str) -> None:
        for ref, record in sorted(self.book.records.items()):
            left = record.status is Status.UNCERTAIN and record.due is None
            if ref.kind == kind and (left or record.status is Status.FAILED):
                self.book.marks.append((kind, ref.key, max(record.urgency, 5)))
        self.act(self.history.retry(kind, None))
        self.compare("retry_failed")

    def sweeps(self, kind: str) -> None:
        marked = {Ref(kind, key) for of, key, _ in self.book.marks if of == kind and key}
        for ref, record in self.book.records.items():
            if ref.kind == kind and ref not in marked and not record.gone:
                self.book.marks.append((kind, ref.key, 0))
        self.act(self.database.execute("mark_gone", kind=kind, priority=0))
        self.folds(0)  # its marks are in no order

    def obstructs(self, what: str) -> None:
        """A paused kind, a block, refused credentials, an outage; nothing is claimed then."""
        book, touch = self.book, self.journal.touch
        if what == "pause":
            self.act(pause_kinds(self.database, ORG, ["invoices"], pause=True, why="a test"))
            book.paused_kinds.add("invoices")
        elif what == "block":
            self.act(touch(Effect(reason="blocked"), close_s=40.0))
            book.closed_until = max(book.closed_until, book.now + timedelta(seconds=40))
        elif what == "refuse":
            self.act(touch(Effect(pause="refused"), close_s=None))
            book.paused = True
        else:
            self.ground.sql(f"update zohosync.organizations set overloads = {DOWN_AFTER}")
            book.down = True
        self.claims(0, 9)

    def clears(self) -> None:
        book = self.book
        if book.open() and not book.paused_kinds:
            return
        self.act(pause_kinds(self.database, ORG, KINDS_HERE, pause=False, why="a test"))
        self.act(self.history.wake(KINDS_HERE))
        self.act(self.journal.touch(Effect(healthy=True), close_s=None))
        book.paused_kinds, book.paused, book.down = set(), False, False
        for record in book.records.values():
            if record.status is Status.PENDING and record.due and record.due[0] > book.now:
                record.due = book.at_once
        self.compare("wake_kinds")
        self.waits(max(0.0, (book.closed_until - book.now).total_seconds()))

    # ------------------------------------------------------------------------------------ quiet

    def quiet(self) -> None:
        """Without trouble, all must get into step, with no help but that of their parents."""
        self.clears()
        if self.leased():
            self.waits(LEASE_S + 1)
            self.rescues()
        for _ in range(120):
            if self.book.marks:
                self.folds(0)
            if self.claims(0, 2):
                while self.hands:
                    self.calm(self.hands[-1])
            elif not self.sleeps() and not self.person_helps():
                break
        for ref, record in self.book.records.items():
            assert record.status in DONE, f"{ref} is {record.status}"
            assert record.in_step == record.version

    def calm(self, hand: Hand) -> None:
        """An attempt without trouble; a claim of before the quiet finds its lease lost."""
        claim, parent = hand.claim, PARENTS.get(hand.claim.ref)
        needs = OPEN if claim.ref == PAYMENT else frozenset[str]()
        held = self.book.records.get(parent) if parent else None
        state = "open" if claim.ref.kind == "invoices" else "active"
        key = claim.zoho_id or f"y{claim.ref.key}"  # z1 and z2 may have got mixed up before
        if claim.check and claim.intent is None:
            end = Settlement(Status.PENDING, "checked", 0.0, checked=True)
        elif claim.intent:
            end = Settlement(Status.PENDING, "adopted", 0.0, key, remote_state=state)
        elif parent and not (held and held.as_needed(needs)):
            end = Settlement(Status.WAITING, "waiting", waiting_on=parent, waiting_needs=needs)
        else:
            end = Settlement(Status.SYNCED, "created", None, key, remote_state=state, gone=False)
        self.settles(hand, end)

    def founds(self, known: tuple[Ref, ...]) -> None:
        """These records are in step already."""
        for ref in known:
            self.marks(ref, 10)
        self.folds(0)
        self.waits(0.001)  # one is due after the other
        for hand in sorted(self.claims(0, 9), key=lambda hand: REFS.index(hand.claim.ref)):
            self.calm(hand)
        assert all(self.statuses[ref] in DONE for ref in known)

    def person_helps(self) -> bool:
        """Retry what failed; where a record waits, its parent's row changes, not its own."""
        for ref in sorted(self.book.records):
            record = self.book.records[ref]
            if record.status is Status.WAITING and record.waits_for:
                self.marks(record.waits_for, 5)
        for kind in sorted({ref.kind for ref, at in self.statuses.items() if at not in DONE}):
            self.retries(kind)
        return bool(self.book.marks)


def _grant(_view: JournalView, _books: Books, _limits: Limits) -> Choice:
    return Choice((0,))
