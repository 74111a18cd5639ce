"""One record against a Zoho that loses, delays and refuses: made once, in step in the end."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.builders import NOW, candidate, claim, intent, judged, planned, settled, wanted
from zohosync.core.mapping import identity_of
from zohosync.core.records import Claim, Desired, Payload, Status, same
from zohosync.core.replies import (
    Accepted,
    Closed,
    Found,
    Rejected,
    Reply,
    Throttled,
    Unauthorized,
    Unavailable,
    Unreachable,
    Unusable,
)
from zohosync.core.steps import Create, Find, Step, Transition, Update

TIME_LIMIT_S = 30.0
STATUS_AFTER = {
    "converttoopen": "sent",
    "void": "void",
    "cancel": "cancelled",
    "cancel_at_end": "non_renewing",
    "markasinactive": "inactive",
    "markasactive": "active",
}
FIRST_STATUS = {"customers": "active", "subscriptions": "live", "invoices": "draft"}
ROW: dict[str, Callable[[int], dict[str, Any]]] = {
    "customers": lambda n: {"phone": str(n) if n else None, "state": ("active", "inactive")[n % 2]},
    "subscriptions": lambda n: {"plan.quantity": n + 1},
    "invoices": lambda n: {"notes": str(n) if n else None, "state": "open"},
    "payments": lambda n: {"description": str(n) if n else None},
}
"""A version of the row by number."""

LOST: dict[str, Reply] = {
    "timeout": Unreachable(sent=True, message="timed out"),
    "5xx": Unavailable(502, "bad gateway"),
    "no id": Unusable("no id"),
}
SAFE: dict[str, Reply] = {
    "refused": Unreachable(sent=False, message="refused"),
    "429": Throttled("44", 60.0),
    "401": Unauthorized("14", "no"),
    "closed": Closed("minute", 30.0),
    "rejected": Rejected(400, "4", "no"),
}


@dataclass(frozen=True)
class Event:
    """What happens to an attempt, and how the row changes before it."""

    trouble: str
    done: bool
    late_s: float
    lag_s: float
    row: int | None
    idle_s: float


EVENTS = st.builds(
    Event,
    trouble=st.sampled_from(["none", "crash", *LOST, *SAFE]),
    done=st.booleans(),
    late_s=st.sampled_from([0.0, 0.0, 20.0, 290.0]),
    lag_s=st.sampled_from([0.0, 0.0, 60.0]),
    row=st.none() | st.integers(-1, 3),
    idle_s=st.sampled_from([0.0, 1.0, 40.0, 700.0, 4_000.0]),
)
QUIET = Event("none", done=True, late_s=0.0, lag_s=0.0, row=None, idle_s=0.0)


@dataclass
class Remote:
    """A Zoho that holds what it was sent, from when it gets round to it."""

    kind: str
    records: list[tuple[datetime, Payload]] = field(default_factory=list)
    pending: list[tuple[datetime, Step, float]] = field(default_factory=list)

    def catch_up(self, now: datetime) -> None:
        for at, step, lag_s in sorted(self.pending, key=lambda each: each[0]):
            if at <= now:
                self.apply(at, step, lag_s)
        self.pending = [each for each in self.pending if each[0] > now]

    def apply(self, at: datetime, step: Step, lag_s: float) -> Payload:
        match step:
            case Create(payload=payload):
                made = copy.deepcopy(payload)
                made |= {"id": f"z{len(self.records)}", "total": Decimal(115)}
                made["status"] = FIRST_STATUS.get(self.kind)
                self.records.append((at + timedelta(seconds=lag_s), made))
            case Update(fields=fields):
                made = self.records[-1][1]
                made.update(copy.deepcopy(fields))
            case Transition(operation=operation):
                made = self.records[-1][1]
                made["status"] = STATUS_AFTER[operation]
        for number, line in enumerate(made.get("invoice_items", ())):
            line.setdefault("item_id", f"l{number}")
            line["item_total"] = line["price"]
        return made

    def find(self, step: Find, now: datetime) -> Found:
        seen = [
            made
            for shown_at, made in self.records
            if made["id"] == step.zoho_id or (step.zoho_id is None and shown_at <= now)
        ]
        return Found(tuple(candidate(made["id"], made) for made in seen))


@dataclass
class Life:
    """The record, its row, and when it is due; what the store does between attempts."""

    kind: str
    remote: Remote
    held: Claim
    now: datetime = NOW
    due_at: datetime | None = NOW
    row: int = 0

    @property
    def desired(self) -> Desired | None:
        return None if self.row < 0 else wanted(self.kind, **ROW[self.kind](self.row))

    def mark(self) -> None:
        """fold_marks: what rests becomes due; a back-off and an open intent keep their time."""
        if self.held.status in (Status.SYNCED, Status.FAILED, Status.SKIPPED):
            self.held = replace(self.held, status=Status.PENDING)
        self.due_at = self.due_at or self.now

    def attempt(self, event: Event) -> None:
        assert self.due_at is not None
        self.now = max(self.now, self.due_at)
        self.remote.catch_up(self.now)
        step = planned(self.desired, self.held)
        opened = None
        reply: Reply | None = None
        if isinstance(step, Find):
            reply = self.read(step, event)
        elif isinstance(step, Create | Update | Transition):
            assert self.held.intent is None, "a write while an intent is open"
            if event.trouble != "closed":
                opened = self.intent_of(step)
            reply = self.write(step, event)
        if event.trouble == "crash" and step.calls:
            self.rescued(opened)
            return
        end = judged(step, reply, self.held, now=self.now)
        gone = self.held.gone_identity
        desired = self.desired
        if end.gone is not None:
            gone = identity_of(desired) if end.gone and desired else None
        self.held = replace(settled(self.held, end, opened, self.now), gone_identity=gone)
        due_in = end.due_in_s
        self.due_at = None if due_in is None else self.now + timedelta(seconds=due_in)

    def rescued(self, opened: Any) -> None:
        """rescue_records, a lease later."""
        self.now += timedelta(seconds=120)
        self.due_at = self.now
        left = opened or self.held.intent
        status = Status.UNCERTAIN if left else Status.PENDING
        self.held = replace(self.held, intent=left, status=status, epoch=self.held.epoch + 1)

    def intent_of(self, step: Create | Update | Transition) -> Any:
        deadline = self.now + timedelta(seconds=TIME_LIMIT_S)
        match step:
            case Create(wanted=sent, total=total):
                return intent("create", sent, total=total, deadline=deadline)
            case Update(fields=sent, total=total):
                return intent("update", sent, total=total, deadline=deadline)
            case Transition(operation=operation):
                return intent(operation, deadline=deadline)

    def write(self, step: Create | Update | Transition, event: Event) -> Reply:
        if event.trouble in SAFE:
            return SAFE[event.trouble]
        if event.trouble == "none":
            made = self.remote.apply(self.now, step, event.lag_s)
            return Accepted(made["id"], dict(made))
        if event.done:
            at = self.now + timedelta(seconds=event.late_s)
            self.remote.pending.append((at, step, event.lag_s))
        return LOST.get(event.trouble, LOST["timeout"])

    def read(self, step: Find, event: Event) -> Reply:
        if event.trouble in SAFE:
            return SAFE[event.trouble]
        if event.trouble in LOST:
            return LOST[event.trouble] if event.done else Found((), complete=False)
        return self.remote.find(step, self.now)


def live(kind: str, events: list[Event]) -> Life:
    """Live through the troubles, then through quiet until nothing is left to do."""
    life = Life(kind, Remote(kind), claim(kind))
    for event in events:
        life.now += timedelta(seconds=event.idle_s)
        if event.row is not None:
            life.row = event.row
            life.mark()
        if life.due_at is not None:
            life.attempt(event)
    life.row = max(life.row, 0)
    life.mark()
    for _ in range(60):
        if life.due_at is None and life.held.status is not Status.SYNCED:
            life.mark()  # somebody retries what gave up during the troubles
        if life.due_at is None:
            break
        life.attempt(QUIET)
    return life


@pytest.mark.parametrize("kind", ROW)
@settings(max_examples=50)
@given(events=st.lists(EVENTS, max_size=14))
def test_whatever_is_lost_nothing_is_made_twice_and_all_ends_in_step(
    kind: str, events: list[Event]
) -> None:
    life = live(kind, events)
    assert len(life.remote.records) <= 1, "made twice"
    assert life.held.status is Status.SYNCED
    assert life.held.intent is None
    desired = life.desired
    assert desired is not None
    ((_, made),) = life.remote.records
    assert life.held.zoho_id == made["id"]
    assert {name for name, value in desired.payload.items() if not same(value, made.get(name))} <= {
        "plan",  # these hold ids of parents, which the payload without them does not
        "invoice_items",
        "invoices",
    }
    if "state" in ROW[kind](life.row):
        assert life.held.remote_state == desired.state
    if kind == "subscriptions":
        assert made["plan"]["quantity"] == life.row + 1


@pytest.mark.parametrize("kind", ROW)
def test_a_create_that_came_late_is_adopted_after_one_look_up_more(kind: str) -> None:
    late = Event("timeout", done=True, late_s=290.0, lag_s=60.0, row=None, idle_s=0.0)
    life = live(kind, [late])
    assert len(life.remote.records) == 1
    assert life.now - NOW >= timedelta(seconds=600)
    assert life.now - NOW < timedelta(seconds=1_800)


@pytest.mark.parametrize("kind", ROW)
def test_a_create_that_never_happened_is_made_after_half_an_hour(kind: str) -> None:
    lost = Event("timeout", done=False, late_s=0.0, lag_s=0.0, row=None, idle_s=0.0)
    life = live(kind, [lost])
    assert len(life.remote.records) == 1
    assert life.now - NOW >= timedelta(seconds=600 + 1_200 + TIME_LIMIT_S)
