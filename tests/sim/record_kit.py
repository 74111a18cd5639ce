"""A database in virtual time, kept for all examples; how attempts end; when row and model agree."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import psycopg

from sim.record_model import AT_REST, Book, Record
from zohosync.clock import SystemClock
from zohosync.core.governor import PLANS
from zohosync.core.kinds import MAPPED
from zohosync.core.records import Claim, ErrorClass, Problem, Ref, Status
from zohosync.core.settlement import IntentAfter, Settlement
from zohosync.store.capture import Watch, install_watches
from zohosync.store.database import Database
from zohosync.store.organizations import register_organization
from zohosync.store.records import AttemptNote, Records

ORG = "10001"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LEASE_S, DEBOUNCE_S = 8.0, 300.0
WORKERS = ("w1", "w2", "w3")
CUSTOMER, OTHER = Ref("customers", "1"), Ref("customers", "2")
INVOICE, SECOND, PAYMENT = Ref("invoices", "1"), Ref("invoices", "2"), Ref("payments", "1")
REFS = (CUSTOMER, OTHER, INVOICE, SECOND, PAYMENT)
PARENTS = {INVOICE: CUSTOMER, SECOND: CUSTOMER, PAYMENT: INVOICE}
KINDS_HERE = ("customers", "invoices", "payments")
OPEN = frozenset({"open"})
NOTE = AttemptNote(step="create", entity_type="customer", duration_ms=1)
DONE = frozenset({Status.SYNCED, Status.SKIPPED})
INVALID = Problem(ErrorClass.VALIDATION, "no")
MISSING = Problem(ErrorClass.NOT_FOUND, "no longer in Zoho")
SLACK = timedelta(milliseconds=1)
"""Marks of one fold become due microseconds apart, in their order."""

READ = """
select r.kind, r.key, r.status, r.version, r.synced_version, r.priority, r.due_at, r.lease_worker,
       r.lease_epoch, r.lease_until, r.intent_id, r.waiting_kind, r.waiting_key, r.waiting_needs,
       r.attempts, r.zoho_id, r.remote_state, r.to_check, r.gone, c.absent_at, c.intent_state
  from zohosync.records r left join zohosync.api_calls c on c.call_id = r.intent_id
"""
CLEAN = """
truncate public.customers, public.invoices, public.payments;
truncate zohosync.marks, zohosync.records, zohosync.sync_logs, zohosync.api_calls, zohosync.audit;
update zohosync.organizations set paused = null, paused_kinds = '{}', closed_until = null,
       overloads = 0, day = null, day_calls = 0, day_by_lane = '{}'
"""
T = TypeVar("T")
ENDINGS = (
    "done", "draft", "more", "uncertain", "duplicate", "failed", "missing", "orphaned", "waiting",
    "later", "skipped", "retrying", "closed", "undecided", "taken",
)  # fmt: skip


@dataclass
class Ground:
    """A database in virtual time, kept for all examples, and what they have seen."""

    runner: asyncio.Runner
    plain: psycopg.Connection[dict[str, Any]]
    at: datetime = NOON
    seen: set[tuple[Status | None, Status, str]] = field(default_factory=set)
    database: Database = field(init=False)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.get_loop().run_until_complete(work)

    async def open(self, url: str) -> None:
        self.database = await Database.open(url, now=lambda: self.at)
        await register_organization(
            self.database,
            org_id=ORG,
            data_center="us",
            mode="sandbox",
            time_zone="Africa/Johannesburg",
            currency="ZAR",
            limits=PLANS["unlimited"],
            kinds=MAPPED,
        )
        self.sql("".join(f"create table public.{kind} (id text);" for kind in KINDS_HERE))
        watches = [Watch(f"public.{kind}", kind, key="id") for kind in KINDS_HERE]
        await install_watches(self.database, watches, clock=SystemClock())

    def sql(self, text: str, **params: Any) -> None:
        """What the company does, and what the harness does: without our code."""
        self.plain.execute(text.encode(), params or None)

    def rows(self) -> dict[Ref, dict[str, Any]]:
        return {Ref(row["kind"], row["key"]): row for row in self.plain.execute(READ.encode())}

    def miscounted(self) -> list[Any]:
        """Where the maintained counts are not what a full count says."""
        return self.plain.execute(MISCOUNTED.encode()).fetchall()


MISCOUNTED = """
select kind, status, linked, timed, sum(records) as apart
  from (select kind, status, linked, timed, records from zohosync.record_counts
        union all select kind, status, linked, timed, records from zohosync.count_deltas
        union all select kind, status, zoho_id is not null, due_at is not null, -1
          from zohosync.records) c
 group by 1, 2, 3, 4 having sum(records) <> 0
"""


@dataclass(slots=True)
class Hand:
    """A claim in the hands of a worker, and the write that it journaled, if it did."""

    records: Records
    claim: Claim
    wrote: bool = False


def verified(claim: Claim, zoho_id: str, state: str) -> dict[str, Settlement]:
    """How the look-up of an open intent may end."""
    again = Settlement(Status.UNCERTAIN, "absent", 600.0, intent=IntentAfter.KEEP)
    problem = MISSING if claim.zoho_id else INVALID
    return {
        "done": Settlement(Status.PENDING, "adopted", 0.0, zoho_id, remote_state=state),
        "draft": Settlement(Status.SYNCED, "adopted", None, zoho_id, remote_state=state),
        "uncertain": replace(again, result="uncertain", due_in_s=60.0, attempts=1),
        "duplicate": again,
        "retrying": replace(again, due_in_s=1_200.0, intent=IntentAfter.ABSENT),
        "closed": replace(again, result="closed: minute", due_in_s=30.0),
        "undecided": replace(again, result="undecided", due_in_s=None),
        "skipped": Settlement(Status.PENDING, "absent", 0.0),
        "failed": Settlement(Status.FAILED, "failed", problem=problem),
    }


def endings(hand: Hand, book: Book) -> dict[str, Settlement]:
    """How an attempt at this claim may end: what `judge` makes of replies, in outline."""
    claim, parent = hand.claim, PARENTS.get(hand.claim.ref)
    zoho_id = claim.zoho_id or f"z{claim.ref.key}"
    state = "open" if claim.ref.kind == "invoices" else "active"
    if claim.intent:
        return verified(claim, zoho_id, state)
    ends = {
        "failed": Settlement(Status.FAILED, "failed", problem=INVALID, attempts=1),
        "retrying": Settlement(Status.RETRYING, "retrying", 60.0, attempts=claim.attempts + 1),
        "closed": Settlement(Status.PENDING, "closed: minute", 30.0, attempts=claim.attempts),
    }
    missing = Settlement(Status.FAILED, "failed", problem=MISSING)
    if claim.check:
        ends["missing"] = replace(missing, checked=True)
        return ends | {"done": Settlement(Status.PENDING, "checked", 0.0, checked=True)}
    done = Settlement(Status.SYNCED, "created", None, zoho_id, remote_state=state, gone=False)
    if hand.wrote:
        uncertain = Settlement(Status.UNCERTAIN, "uncertain", 0.0, intent=IntentAfter.KEEP)
        ends |= {
            "done": done,
            "draft": replace(done, remote_state="draft"),
            "more": replace(done, status=Status.PENDING, due_in_s=0.0, remote_state="draft"),
            "uncertain": uncertain,
        }
        if claim.zoho_id:
            return ends | {"missing": missing}
        if parent and parent in book.records and book.records[parent].zoho_id:
            waits = Settlement(Status.WAITING, "orphaned", waiting_on=parent, suspect=parent)
            ends["orphaned"] = waits
        return ends | {
            "duplicate": replace(uncertain, result="duplicate", intent=IntentAfter.DUPLICATE),
            "taken": replace(done, zoho_id=f"z{3 - int(claim.ref.key)}"),  # by another, may be
        }
    ends["skipped"] = Settlement(Status.SKIPPED, "skipped", gone=True)
    if parent:
        needs = OPEN if claim.ref == PAYMENT else frozenset[str]()
        named = OTHER if claim.zoho_id and parent == CUSTOMER else parent  # another one by now
        wait = Settlement(Status.WAITING, "waiting", waiting_on=named, waiting_needs=needs)
        ends["waiting"] = wait
    if claim.zoho_id:
        return ends | {"done": replace(done, result="unchanged")}
    return ends | {
        "later": Settlement(Status.WAITING, "waiting", 3_600.0),
        "more": Settlement(Status.PENDING, "linked", 0.0, zoho_id, remote_state=state),
        "undecided": Settlement(Status.UNCERTAIN, "undecided"),
    }


def agree(ref: Ref, record: Record, row: dict[str, Any]) -> None:
    """The row keeps what the model promises; the model takes over what it had left open."""
    lease, intent = record.lease, record.intent
    assert row["status"] == record.status, f"{ref}: {row['status']}, not {record.status}"
    risen = row["version"] > record.version if record.changed else row["version"] == record.version
    assert risen, f"{ref}: version {row['version']} after {record.version}"
    assert row["synced_version"] == record.in_step <= row["version"]
    assert row["priority"] == record.urgency
    held = (lease.worker, lease.epoch, lease.until) if lease else (None, row["lease_epoch"], None)
    assert row["lease_epoch"] >= record.epoch
    assert (row["lease_worker"], row["lease_epoch"], row["lease_until"]) == held
    assert (row["status"] == Status.SYNCING) == (lease is not None)
    assert row["intent_id"] == (intent.call_id if intent else None)
    if intent:
        kept = (row["absent_at"] is not None, row["intent_state"])
        assert kept == (intent.absent, "duplicate" if intent.duplicate else "open")
    if record.status is Status.WAITING:
        waits_for = Ref(row["waiting_kind"], row["waiting_key"]) if row["waiting_kind"] else None
        assert (waits_for, frozenset(row["waiting_needs"])) == (record.waits_for, record.needs)
    for name, value in {
        "attempts": record.attempts,
        "zoho_id": record.zoho_id,
        "remote_state": record.state,
        "to_check": record.doubted,
        "gone": record.gone,
    }.items():
        assert row[name] == value, f"{ref}: {name} is {row[name]}, not {value}"
    if record.lease is None:
        assert (row["due_at"] is None) == (record.due is None), f"{ref}: due {row['due_at']}"
        if record.due is not None:
            first, last = record.due
            assert first <= row["due_at"] <= last + SLACK, f"{ref}: due {row['due_at']}"
    assert record.status not in AT_REST or row["due_at"] is None
    record.due = None if row["due_at"] is None else (row["due_at"], row["due_at"])
    record.version, record.changed = row["version"], False
    record.epoch = row["lease_epoch"]
