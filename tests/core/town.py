"""Several rows of one kind, their records and a Zoho that loses and delays: for settle and renames.

What the store does between attempts is told in plain values; decisions are the real ones.
"""

import copy
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from core.builders import (
    NOW,
    PARENTS,
    POLICY,
    candidate,
    claim,
    intent,
    judged,
    marker_of,
    planned,
)  # fmt: skip
from core.builders import settled as as_settled
from core.builders import wanted as wanted_of
from zohosync.core.kinds import KINDS
from zohosync.core.mapping import identity_of, somebody_else
from zohosync.core.plan import resolve
from zohosync.core.records import Candidate, Claim, Desired, Payload, Ref, Status
from zohosync.core.renames import Namesake, succeed, tells, vanished, would_appear
from zohosync.core.replies import Accepted, Found, Rejected, Reply, Unreachable
from zohosync.core.settlement import Settlement, linked_elsewhere
from zohosync.core.settling import Owner, Refusal, Sight, Standing, Verdict, Word, decide
from zohosync.core.steps import Create, Find, Step, Transition, Update

TIME_LIMIT_S = 30.0
FIRST = {"invoices": "draft", "subscriptions": "live"}
COLUMNS: dict[str, Callable[[int, int], dict[str, Any]]] = {
    "customers": lambda who, turn: {
        "display_name": f"P{who}", "email": f"p{who}@example.com", "phone": str(turn),
    },
    "invoices": lambda who, turn: {"invoice_number": f"INV-{who}", "notes": str(turn)},
    "subscriptions": lambda who, turn: {"plan_key": "1", "starts_at": f"2026-01-0{who + 1}",
                                        "plan.quantity": turn + 1},
}  # fmt: skip
"""What a row says that is of this person (or number), and was edited so often."""


@dataclass(slots=True)
class Row:
    who: int
    turn: int = 0


@dataclass(slots=True)
class Made:
    """A record in Zoho; `who` it was made for."""

    zoho_id: str
    who: int
    shown_at: datetime
    fields: Payload


@dataclass(slots=True)
class Book:
    """A record as the store keeps it."""

    held: Claim
    due_at: datetime | None
    identity: Payload | None = None
    gone: bool = False
    problem: Any = None
    who: int = -1


@dataclass(slots=True)
class Town:
    """Rows by key, records by key, what is in Zoho and what may still land there."""

    kind: str
    now: datetime = NOW
    rows: dict[str, Row] = field(default_factory=dict)
    books: dict[str, Book] = field(default_factory=dict)
    remote: list[Made] = field(default_factory=list)
    landing: list[tuple[datetime, str, int, Step, int]] = field(default_factory=list)
    made: Counter[int] = field(default_factory=Counter)
    allowed: Counter[int] = field(default_factory=Counter)
    calls: int = 0

    # ------------------------------------------------------------------------- the company

    def desired(self, key: str) -> Desired | None:
        row = self.rows.get(key)
        if row is None:
            return None
        return wanted_of(self.kind, key=key, **COLUMNS[self.kind](row.who, row.turn))

    def changes(self, key: str, row: Row | None) -> None:
        """The row is as said from now on, and its record is marked."""
        book = self.books.get(key)
        if row is None:
            self.rows.pop(key, None)
        else:
            self.rows[key] = row
            desired = self.desired(key)
            kind, now = KINDS[self.kind], identity_of(desired) if desired else {}
            if book and not (book.gone and somebody_else(kind, book.identity or {}, now)):
                # Not taken for somebody else: what it says now is an edit of what it has made.
                holds = {book.held.zoho_id} if book.held.zoho_id else set()
                edited = [each for each in self.remote if each.zoho_id in holds]
                self.allowed.update(each.who for each in edited if each.who != row.who)
            if book and not book.held.zoho_id and book.held.intent and book.who != row.who:
                # Its create is in doubt: once adopted, it is edited into who has the key now.
                self.allowed[book.who] += 1
        alive = Counter(each.who for each in self.rows.values())
        for who, count in alive.items():
            self.allowed[who] = max(self.allowed[who], count)
        if book is None:
            self.books[key] = Book(claim(self.kind, key=key), self.now)
            return
        if book.held.status in (Status.SYNCED, Status.FAILED, Status.SKIPPED):
            book.held = replace(book.held, status=Status.PENDING)
        book.held = replace(book.held, version=book.held.version + 1)
        book.due_at = book.due_at or self.now

    # --------------------------------------------------------------------------- an attempt

    def attempt(self, key: str, trouble: str, late_s: float, lag_s: float) -> None:
        book = self.books.get(key)
        if book is None or book.due_at is None or book.due_at > self.now:
            return
        self.catch_up()
        desired = self.desired(key)
        held = replace(
            book.held, claimed_at=self.now, gone_identity=book.identity if book.gone else None
        )
        step = planned(desired, held)
        if desired is not None and would_appear(step):
            step = succeed(step, held, list(self.namesakes(key, identity_of(desired))))
        opened, reply = None, None
        if isinstance(step, Create | Update | Transition):
            assert held.intent is None, "a write while an intent is open"
            opened = self.opened(step)
            if desired is not None and not (book.gone and held.zoho_id):
                book.identity = identity_of(desired)
            reply = self.write(key, step, opened.call_id, trouble, late_s, lag_s)
        elif isinstance(step, Find):
            reply = Found((), complete=False) if trouble == "lost" else self.look(step)
        if trouble == "crash" and step.calls:
            left = opened or held.intent
            status = Status.UNCERTAIN if left else Status.PENDING
            book.held = replace(book.held, intent=left, status=status)
            book.due_at = self.now + timedelta(seconds=120)
            return
        taken = {b.held.zoho_id: b.held.ref for b in self.books.values() if b.held.zoho_id}
        end = judged(step, reply, held, now=self.now, taken=taken)
        self.settle(book, held, end, opened, desired)

    def settle(
        self, book: Book, held: Claim, end: Settlement, opened: Any, desired: Desired | None
    ) -> None:
        """settle_record, with the unique index and hand_over."""
        if end.heir_of is not None:
            giver = self.books[end.heir_of.key]
            self.is_nobodys(end.heir_of.key)
            assert giver.held.zoho_id == end.zoho_id
            assert giver.held.intent is None
            self.gives_up(giver)
        elif end.zoho_id and (other := self.owner(end.zoho_id)) not in (None, held.ref):
            end = linked_elsewhere(held, end.zoho_id, other, "create")
        if end.zoho_id:
            assert end.zoho_id not in held.excluded, "a person said it is not this one"
        other_key = end.gone or (held.gone_identity is not None and end.gone is None)
        if desired is not None and not desired.faults and not other_key:
            book.identity = identity_of(desired)
        book.gone = book.gone if end.gone is None else end.gone
        book.held = as_settled(book.held, end, opened, self.now)
        book.problem = end.problem
        due_in = end.due_in_s
        book.due_at = None if due_in is None else self.now + timedelta(seconds=due_in)

    def is_nobodys(self, key: str) -> None:
        """A link is never taken from a live row whose it is."""
        row, book = self.rows.get(key), self.books[key]
        desired = self.desired(key)
        assert row is None or (book.gone and book.identity != (desired and identity_of(desired)))

    def gives_up(self, book: Book) -> None:
        book.held = replace(
            book.held, zoho_id=None, payload=None, remote_state=None, hints={},
            status=Status.PENDING,
        )  # fmt: skip
        book.gone, book.due_at = True, self.now
        book.problem = None

    def namesakes(self, key: str, identity: Payload) -> Iterator[Namesake]:
        if not tells(KINDS[self.kind], identity):
            return
        for other, book in self.books.items():
            alike, held = book.identity == identity, book.held
            known = Namesake(held.ref, held.zoho_id, gone=book.gone)
            if other == key or not vanished(known, identity, self.desired(other)):
                continue
            if held.zoho_id and alike:
                yield Namesake(
                    held.ref, held.zoho_id, held.payload, held.remote_state, held.hints,
                    held.intent is not None,
                )  # fmt: skip
            elif not held.zoho_id and held.intent and (alike or book.identity is None):
                yield Namesake(held.ref, None, busy=True)

    def owner(self, zoho_id: str) -> Ref | None:
        owners = [b.held.ref for b in self.books.values() if b.held.zoho_id == zoho_id]
        assert len(owners) <= 1, f"{zoho_id} is linked to {owners}"
        return owners[0] if owners else None

    # --------------------------------------------------------------------------------- Zoho

    def opened(self, step: Create | Update | Transition) -> Any:
        self.calls += 1
        deadline = self.now + timedelta(seconds=TIME_LIMIT_S)
        match step:
            case Create(wanted=sent, total=total):
                return intent("create", sent, total=total, deadline=deadline, call_id=self.calls)
            case Update(fields=sent, total=total):
                return intent("update", sent, total=total, deadline=deadline, call_id=self.calls)
            case Transition(operation=operation):
                return intent(operation, deadline=deadline, call_id=self.calls)

    def write(  # noqa: PLR0917 - what an act says, as it says it
        self, key: str, step: Step, call_id: int, trouble: str, late_s: float, lag_s: float
    ) -> Reply:
        who = self.books[key].who = self.rows[key].who
        if trouble == "never":
            return Unreachable(sent=True, message="reset")
        if trouble in ("late", "crash"):
            at = self.now + timedelta(seconds=late_s)
            self.landing.append((at, key, call_id, step, who))
            return Unreachable(sent=True, message="timed out")
        done = self.apply(step, who, self.now + timedelta(seconds=lag_s))
        if done is None:
            return Rejected(400, "1001", "taken")
        lost = trouble == "lost"
        return (
            Unreachable(sent=True, message="lost")
            if lost
            else Accepted(done.zoho_id, {**done.fields})
        )

    def catch_up(self) -> None:
        """What was under way lands; nobody may have given it up before."""
        for at, key, call_id, step, who in sorted(self.landing, key=lambda each: each[0]):
            if at <= self.now:
                held = self.books[key].held
                assert held.intent is not None, "a write lands that was given up"
                assert held.intent.call_id == call_id
                self.apply(step, who, at)
        self.landing = [each for each in self.landing if each[0] > self.now]

    def apply(self, step: Step, who: int, shown_at: datetime) -> Made | None:
        if isinstance(step, Create):
            number = step.payload.get("invoice_number")
            if number and any(each.fields.get("invoice_number") == number for each in self.remote):
                return None
            fields = copy.deepcopy(step.payload)
            fields["status"] = {"invoices": "draft", "subscriptions": "live"}.get(
                self.kind, "active"
            )
            made = Made(f"z{len(self.remote)}", who, shown_at, fields)
            self.remote.append(made)
            self.made[who] += 1
            assert self.made[who] <= self.allowed[who], f"{who} is made {self.made[who]} times"
            return made
        assert isinstance(step, Update | Transition)
        (made,) = (each for each in self.remote if each.zoho_id == step.zoho_id)
        made.fields.update(
            copy.deepcopy(step.fields) if isinstance(step, Update) else {"status": "sent"}
        )
        return made

    def look(self, step: Find) -> Found:
        seen = [
            each for each in self.remote
            if each.zoho_id == step.zoho_id or (step.zoho_id is None and each.shown_at <= self.now)
        ]  # fmt: skip
        return Found(tuple(candidate(each.zoho_id, each.fields) for each in seen))

    # ----------------------------------------------------------------------------- a person

    def says(self, key: str, word: Word, target: int) -> Verdict | Refusal | None:
        """A word; of what did not happen only the truth is said, of all else anything."""
        self.catch_up()
        book = self.books.get(key)
        if book is None:
            return None
        if word is Word.ABSENT and book.held.intent and self.happened(key, book.held):
            return None
        held = replace(
            book.held, claimed_at=self.now, gone_identity=book.identity if book.gone else None
        )
        problem = book.problem
        standing = Standing(
            held, rivals=held.rivals, error_class=str(problem.error_class) if problem else None,
            error_field=problem.field if problem else None,
        )  # fmt: skip
        sight = self.sight(key, word, target)
        verdict = decide(word, standing, sight)
        if isinstance(verdict, Verdict):
            self.written(book, verdict)
        return verdict

    def happened(self, key: str, held: Claim) -> bool:
        """Whether the write in doubt is in Zoho now: all that a person can see."""
        assert held.intent is not None
        if held.intent.operation != "create":
            return False
        marker, sent = KINDS[self.kind].marker, held.intent.payload
        names = [marker] if marker else ["invoice_number"]
        mine = (each for each in self.remote if self.owner(each.zoho_id) is None)
        return any(
            each.zoho_id not in held.excluded
            and all(each.fields.get(n) == sent.get(n) for n in names)
            for each in mine
        )

    def sight(self, key: str, word: Word, target: int) -> Sight:
        desired = self.desired(key)
        found: Candidate | None = None
        owner = None
        if word is Word.LINK and self.remote:
            made = self.remote[target % len(self.remote)]
            found = candidate(made.zoho_id, made.fields)
            ref = self.owner(made.zoho_id)
            if ref is not None:
                busy = self.books[ref.key].held.intent is not None
                owner = Owner(ref, vanished=ref.key not in self.rows and not busy)
        return Sight(
            desired, resolve(desired, PARENTS) if desired else {}, None, marker_of(key), None,
            POLICY, found.zoho_id if found else "z?", found, owner,
            tuple(self.namesakes(key, identity_of(desired))) if desired else (),
        )  # fmt: skip

    def written(self, book: Book, verdict: Verdict) -> None:
        """settle_by_word."""
        held = book.held
        who = self.rows[held.ref.key].who if held.ref.key in self.rows else None
        left = {held.zoho_id, verdict.zoho_id} - {None}
        if verdict.word in (Word.NEW, Word.LINK, Word.SAME):
            orphans = [each.who for each in self.remote if each.zoho_id in left]
            self.allowed.update([*orphans, *([who] if who is not None else [])])
        if verdict.heir_of is not None:
            self.is_nobodys(verdict.heir_of.key)
            self.gives_up(self.books[verdict.heir_of.key])
        if verdict.zoho_id is not None:
            assert self.owner(verdict.zoho_id) in (None, held.ref), "two records share a link"
        book.held = replace(
            held, status=Status.PENDING, attempts=0, looks=0, zoho_id=verdict.zoho_id,
            payload=verdict.payload, remote_state=verdict.remote_state, hints=verdict.hints,
            excluded=verdict.excluded, intent=None if verdict.closes else held.intent,
        )  # fmt: skip
        book.identity = verdict.identity or book.identity
        book.gone = book.gone if verdict.gone is None else verdict.gone
        book.problem = None
        book.due_at = self.now
