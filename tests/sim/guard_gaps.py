"""What stands where a guard stood while it is off: the same without it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sim.guard_off import Off, entry, name, together
from zohosync.core import governor, lookups
from zohosync.core.governor import Effect, JournalView, Limits, effect_of
from zohosync.core.kinds import KINDS
from zohosync.core.lanes import Asked, Books, Choice, choose
from zohosync.core.outcome import _accepted
from zohosync.core.plan import Policy, _waits_on, plan
from zohosync.core.records import Candidate, Claim, ParentView, Slot, Status
from zohosync.core.replies import Found, Reply, Throttled
from zohosync.core.settlement import IntentAfter, Scene, Settlement
from zohosync.core.steps import Find, Purpose, Step, Wait
from zohosync.engine import gate, keeper, worker
from zohosync.store import records
from zohosync.store.database import Database
from zohosync.zoho import client, door

_open = Database.transaction


def ticket_with(**otherwise: Any) -> Any:
    def ticket(call_id: int, send_by: float, time_limit_s: float) -> door.Ticket:
        return replace(door.Ticket(call_id, send_by, time_limit_s), **otherwise)

    return ticket


def leave(departure: door._Departure) -> None:
    departure._window.reschedule(None)
    departure.sent = True


def first_absence(step: Find, reply: Found, claim: Claim, scene: Scene) -> Settlement:
    assert claim.intent is not None
    before = claim.intent.deadline - timedelta(days=1)
    looked = replace(claim, intent=replace(claim.intent, absent_at=before))
    return lookups._verified(step, reply, looked, scene)


def blind(desired: Any, claim: Claim, parents: Any, policy: Policy) -> Step:
    return plan(desired, replace(claim, intent=None), parents, policy)


def hasty_policy(**otherwise: Any) -> Off:
    def hasty(step: Find, reply: Found, claim: Claim, scene: Scene) -> Settlement:
        policy = replace(scene.policy, **otherwise)
        return lookups._verified(step, reply, claim, replace(scene, policy=policy))

    return entry(lookups._FOUND, Purpose.VERIFY, hasty)


async def once_through(
    remote: client.Remote, wire: Any, asked: Mapping[str, str], claim: Claim, *more: Any
) -> Any:
    lane, left = more
    rows: dict[str, Candidate] = {}
    whole = False
    async for reply in remote.pages(wire.kind, asked, lane=lane, claim=claim, left=left):
        if not isinstance(reply, Found):
            return reply
        rows.update({row.zoho_id: row for row in reply.candidates})
        whole = reply.complete
    return Found(tuple(rows.values()), complete=whole)


def not_closed(reply: Reply, limits: Limits) -> Effect:
    return Effect() if isinstance(reply, Throttled) else effect_of(reply, limits)


def charged(claim: Claim, result: str, seconds: float, intent: IntentAfter) -> Settlement:
    attempts = claim.attempts + 1
    if attempts >= 3:
        return Settlement(Status.FAILED, "failed", attempts=attempts)
    return Settlement(Status.PENDING, result, seconds, attempts=attempts, intent=intent)


def never_down() -> Off:
    places = (governor, gate, keeper, worker, records)
    return together(*(name(place, "DOWN_AFTER", 1_000_000) for place in places))


def as_if_up(
    view: JournalView, books: Books, limits: Limits, asked: Sequence[Asked], *, probe: bool = False
) -> Choice:
    return choose(replace(view, overloads=0), books, limits, asked, probe=probe)


def as_if_never_closed(
    view: JournalView, books: Books, limits: Limits, asked: Sequence[Asked], *, probe: bool = False
) -> Choice:
    over = view.closed_until is not None and view.closed_until <= view.now
    open_ = replace(view, closed_until=None) if over else view
    return choose(open_, books, limits, asked, probe=probe)


async def parked_blindly(
    kept: records.Records, transaction: Any, claim: Claim, settlement: Settlement
) -> Settlement:
    parent = settlement.waiting_on
    assert parent is not None
    who = {"org_id": claim.org_id, "parent_kind": parent.kind, "parent_key": parent.key}
    await transaction.batch(("park_parent", {**who, "priority": claim.priority}))
    return settlement


def any_state(slot: Slot, parent: ParentView | None, *, linked: bool) -> Wait | None:
    return _waits_on(replace(slot, needs=frozenset()), parent, linked=linked)


def transaction(database: Database, **options: Any) -> Any:
    return _open(database, **{**options, "row_security_off": False})


def kinds(place: Any, kind: str, **otherwise: Any) -> Off:
    """Another description of a kind, for one module."""
    changed = {**KINDS, kind: replace(KINDS[kind], **otherwise)}
    return name(place, "KINDS", changed)


def whatever_total(step: Any, reply: Any, claim: Claim) -> Settlement:
    return _accepted(replace(step, total=None) if hasattr(step, "total") else step, reply, claim)


class NeverError(Exception):
    """Nobody raises it."""
