"""The step that brings a record nearer to what is wanted of it, decided before anything is sent."""

import copy
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from zohosync.core.catalog import remembered_s
from zohosync.core.kind import Kind
from zohosync.core.kinds import ALL_FIELDS, KINDS
from zohosync.core.lines import KEPT, KEPT_STATE, with_line_ids
from zohosync.core.mapping import FORGOTTEN, identity_of, somebody_else
from zohosync.core.records import (
    Claim,
    Desired,
    ErrorClass,
    ParentView,
    Payload,
    Problem,
    Ref,
    Slot,
    Status,
    differing,
    place,
    same,
    without_nothing,
)
from zohosync.core.steps import (
    Create,
    Fail,
    Find,
    Nothing,
    Purpose,
    Skip,
    Step,
    Transition,
    Update,
    Wait,
)

REUSED, BY_HAND = "re-used", "by hand"
"""Codes of failures that wait for a person's word (`settle`)."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings that decisions need."""

    installation: str = "local"
    live: bool = False
    max_retries: int = 3
    retry_base_s: float = 5.0
    retry_cap_s: float = 60.0
    first_absent_s: float = 600.0
    second_absent_s: float = 1_200.0
    link_retry_s: tuple[float, ...] = (3_600.0, 21_600.0)
    link_retry_daily: int = 7
    when_gone: Mapping[str, str] = field(default_factory=dict)
    """By kind, the state that a linked record is moved to whose row is gone (D15)."""
    misses_ttl_s: float = 60.0
    """How long it is remembered that Zoho has no record of that name."""


def plan(
    desired: Desired | None, claim: Claim, parents: Mapping[Ref, ParentView], policy: Policy
) -> Step:
    """The one step to take now. Pure; the same for a dry run and for the real thing.

    `desired` is None when the row is gone. An open intent comes before everything else: whether
    that write happened is found out before any other step is thought of (D6). Nor does a doubt
    that the record is still in Zoho depend on the row.
    """
    kind = KINDS[claim.ref.kind]
    if claim.intent is not None:
        return _verify(kind, claim)
    if claim.check and claim.zoho_id:
        return Find(Purpose.CHECK, claim.payload or {}, zoho_id=claim.zoho_id)
    if desired is None or not desired.eligible:
        return _leave(kind, desired, claim, policy)
    if _reused(kind, desired, claim):
        before = claim.gone_identity or {}
        what = "the row under this key is somebody else now"
        if before.get(FORGOTTEN):
            what = f"what had it was forgotten, and is in Zoho as {claim.zoho_id or 'another row'}"
        return Fail(
            _invalid(
                f"key re-used: {what}: give it a key of its own, or say which it is: "
                f"`zohosync settle {claim.ref.arguments} --same` or `--new`",
                "key",
                REUSED,
            )
        )
    if desired.state in kind.states.ended and not claim.zoho_id:
        return Skip(f"{desired.state} before it ever was in Zoho")
    if desired.faults:
        return Fail(desired.faults[0])
    bare = _bare(desired, claim)
    blocked = _blocked(desired, claim, parents, bare.keys(), policy)
    if blocked is not None:
        return blocked
    wanted = {**resolve(desired, parents), **bare}
    if not claim.zoho_id:
        return _appear(desired, wanted, claim, parents, policy)
    if desired.raised_by == "zoho":
        return Nothing()
    return _converge(desired, wanted, claim)


def _reused(kind: Kind, desired: Desired, claim: Claim) -> bool:
    """Whether the key came back as somebody else, or was forgotten meanwhile."""
    before = claim.gone_identity
    if not before or not (claim.zoho_id or before.get(FORGOTTEN)):
        return False
    return somebody_else(kind, before, identity_of(desired))


def resolve(desired: Desired, parents: Mapping[Ref, ParentView]) -> Payload:
    """The payload with the parents' Zoho ids in their places."""
    payload = copy.deepcopy(desired.payload)
    for slot in desired.slots:
        parent = parents.get(slot.parent)
        if slot.path and parent is not None:
            place(payload, slot.path, parent.zoho_id)
    return payload


def _verify(kind: Kind, claim: Claim) -> Find:
    assert claim.intent is not None
    intent = claim.intent
    state = next(
        (to for (_, to), operation in kind.states.moves.items() if operation == intent.operation),
        None,
    )
    zoho_id = None if intent.operation == "create" else claim.zoho_id
    return Find(Purpose.VERIFY, intent.payload, intent.total, zoho_id, state=state)


def _bare(desired: Desired, claim: Claim) -> Payload:
    """Lists that are as they were when the record was linked, before their parents' ids were known.

    They need none: a PUT says again what Zoho has. Nor does a parent whose id was not known then.
    """
    known = claim.payload if claim.zoho_id and claim.payload else {}
    tops = {str(slot.path[0]) for slot in desired.slots if len(slot.path) > 1}
    bare = {
        top: known[top]
        for top in tops
        if isinstance(known.get(top), list) and same(desired.payload.get(top), known[top])
    }
    if KEPT in claim.hints:
        ids = {str(slot.path[0]) for slot in desired.slots if len(slot.path) == 1}
        bare |= {name: None for name in ids if name in known and known[name] is None}
    return bare


def _leave(kind: Kind, desired: Desired | None, claim: Claim, policy: Policy) -> Step:
    """What becomes of a record whose row is gone or not eligible: nothing in Zoho by default.

    Where its kind is set so, it is ended there (D15); but what Zoho raised is Zoho's to end. What
    a child names, and no row does, may be Zoho's own.
    """
    gone = desired is None
    if gone and kind.listed and not claim.zoho_id and SOUGHT in claim.hints:
        return Find(Purpose.LINK, {kind.identity[0]: claim.ref.key})
    reason = ("gone here" if claim.zoho_id else "no such row here") if gone else "not eligible"
    target = policy.when_gone.get(claim.ref.kind)
    here = claim.remote_state or kind.states.initial
    zohos = claim.hints.get(RAISED) or (desired is not None and desired.raised_by == "zoho")
    if target is None or not claim.zoho_id or zohos or here == target:
        return Skip(reason, gone)
    move = kind.states.next_move(here, target)
    if move is None or move[1] not in kind.states.closing:  # not opened only to be voided
        return Skip(f"{reason}; it is {here} in Zoho and is left so", gone)
    return Transition(claim.zoho_id, *move, more=True, gone=gone)


def _blocked(
    desired: Desired,
    claim: Claim,
    parents: Mapping[Ref, ParentView],
    bare: Collection[str],
    policy: Policy,
) -> Wait | Fail | None:
    """The first parent that is not as the operation needs it; none is needed for what is `bare`.

    What is only to be found in Zoho needs no ids for its lists; what is linked already needs its
    parents' ids, and not their states any more; what is to end needs no parent.
    """
    kind = KINDS[desired.ref.kind]
    if claim.zoho_id and desired.state in kind.states.ended:
        return None
    found_only = desired.raised_by == "zoho" or kind.link_only
    for slot in desired.slots:
        if (slot.path and slot.path[0] in bare) or (found_only and len(slot.path) > 1):
            continue
        view = parents.get(slot.parent)
        if (view is None or view.zoho_id is None) and KINDS[slot.parent.kind].listed:
            return _unknown(kind, slot, view, claim, policy)
        wait = _waits_on(slot, view, linked=claim.zoho_id is not None)
        if wait is not None:
            return wait
    return None


def _unknown(
    kind: Kind, slot: Slot, parent: ParentView | None, claim: Claim, policy: Policy
) -> Wait | Fail:
    """A parent that may be Zoho's own: refused once it was looked for, with what is like it.

    Whoever asked before that look has its answer; for the others it is remembered for a while,
    and the parent is looked for again when that is over.
    """
    seek_s = remembered_s(parent.looks if parent else 0, policy.misses_ttl_s)
    if parent is None or parent.unlisted is None:
        return Wait(slot.parent, slot.needs, f"{slot.parent} is not in Zoho yet", seek_s)
    answered = claim.looks > 0
    if not answered and parent.looked_s >= seek_s:
        return Wait(slot.parent, slot.needs, f"{slot.parent} is looked for in Zoho", seek_s)
    column = next((one.column for one in kind.references if one.kind == slot.parent.kind), None)
    problem = _invalid(parent.unlisted, column, REFUSED)
    return Fail(problem, slot.parent, None if answered else seek_s)


def _waits_on(slot: Slot, parent: ParentView | None, *, linked: bool) -> Wait | None:
    if parent is None or parent.zoho_id is None:
        return Wait(slot.parent, slot.needs, f"{slot.parent} is not in Zoho yet")
    if parent.missing and not linked:
        return Wait(slot.parent, slot.needs, f"{slot.parent} is no longer in Zoho")
    if slot.needs and not linked and parent.remote_state not in slot.needs:
        needs = " or ".join(sorted(slot.needs))
        return Wait(slot.parent, slot.needs, f"{slot.parent} is {parent.remote_state}, not {needs}")
    return None


def _appear(
    desired: Desired,
    wanted: Payload,
    claim: Claim,
    parents: Mapping[Ref, ParentView],
    policy: Policy,
) -> Step:
    kind = KINDS[desired.ref.kind]
    if desired.seed_id and policy.live:
        return Find(Purpose.SEED, wanted, desired.total, desired.seed_id)
    if desired.raised_by == "zoho" or kind.link_only:
        views = (parents[slot.parent] for slot in desired.slots if slot.parent in parents)
        hints = (view.hints.get(kind.hint_for) for view in views) if kind.hint_for else iter(())
        hint = next((str(found) for found in hints if found), None)
        named = tuple(dict.fromkeys(slot.parent for slot in desired.slots))
        return Find(Purpose.LINK, wanted, desired.total, hint=hint, parents=named)
    if claim.rivals:
        named_ids = ", ".join(claim.rivals)
        text = f"it may be in Zoho already ({named_ids}): nothing is made before that is settled"
        return Fail(_invalid(f"{text} (`zohosync compare --link`, or `zohosync settle`)", None))
    more = desired.state != kind.states.initial
    named = tuple(dict.fromkeys(slot.parent for slot in desired.slots if slot.path))
    return Create(without_nothing(wanted), wanted, desired.total, more, named)


def _converge(desired: Desired, wanted: Payload, claim: Claim) -> Step:
    kind = KINDS[claim.ref.kind]
    assert claim.zoho_id is not None
    here = claim.remote_state or kind.states.initial
    there = desired.state or kind.states.initial
    if claim.hints.get(KEPT_STATE) == [here, there]:
        there = here  # as it was when it was linked
    move = kind.states.next_move(here, there) if here != there else None
    changes = differing(wanted, claim.payload)
    if here != there and move is None:
        advice = kind.states.advice.get(there) or kind.states.advice.get(here) or "change it back"
        what = f"it is {here} in Zoho and cannot become {there}: {advice}"
        return Fail(_invalid(what, "state", BY_HAND))
    if changes and there not in kind.states.ended:
        locked = kind.locked.get("*", frozenset()) | kind.locked.get(here, frozenset())
        stuck = sorted(changes) if locked >= ALL_FIELDS else sorted(locked & changes.keys())
        if stuck:
            return Fail(
                _invalid(
                    f"{', '.join(stuck)} changed here but is fixed in Zoho "
                    f"({here}): {kind.lock_advice}",
                    stuck[0],
                    BY_HAND,
                )
            )
        return _update(wanted, changes, desired.total, claim, more=move is not None)
    if move is not None:
        operation, state = move
        return Transition(claim.zoho_id, operation, state, more=state != there)
    return Nothing()


def _update(
    wanted: Payload, changes: Payload, total: Decimal | None, claim: Claim, *, more: bool
) -> Step:
    """The PUT of what changed, with what every PUT has to name.

    Of a record that was linked, that is said as Zoho has it; where nobody knows, it is read first.
    """
    kind, kept = KINDS[claim.ref.kind], claim.hints.get(KEPT)
    assert claim.zoho_id is not None
    always = {name: wanted[name] for name in kind.always if wanted.get(name) is not None}
    if kept is not None:
        same_here = [name for name in kind.always if name not in changes]
        if any(name not in kept for name in same_here):
            return Find(Purpose.CHECK, claim.payload or {}, zoho_id=claim.zoho_id)
        if kind.lines in same_here and wanted.get(kind.lines or "") and not kept[kind.lines or ""]:
            return Fail(_invalid("its lines in Zoho could not be read", kind.lines))
        always |= {name: kept[name] for name in same_here if kept[name] is not None}
    fields = {**always, **{name: _emptied(kind, name, changes[name]) for name in changes}}
    if kind.lines in fields and (kept is None or kind.lines in changes):
        fields[kind.lines] = with_line_ids(kind, fields[kind.lines], claim.hints)
    return Update(claim.zoho_id, fields, wanted, total, more=more)


def _emptied(kind: Kind, name: str, value: Any) -> Any:
    """A changed value as a PUT says it: what is empty here is emptied there, not left as it is.

    The parts of an address, too; but a price that is not named any more is the plan's own again.
    """
    match value:
        case None:
            return ""
        case Mapping():
            return {
                part: _emptied(kind, f"{name}.{part}", inner)
                for part, inner in value.items()
                if inner is not None or f"{name}.{part}" not in kind.money
            }
        case _:
            return value


UNLISTED, REFUSED = "unlisted", "unknown parent"
"""Codes: of a record that is neither here nor in Zoho, and of one that names such a one."""

SOUGHT = "sought"
"""The hint that a child names the record: where no row does, it may be Zoho's own."""

RAISED = "raised"
"""The hint that tells of a record that Zoho raised it: it was linked, not made."""


def parent_status_note(view: ParentView | None) -> str | None:
    """What `why` says of a parent that will not come by itself, or None when it may."""
    if view is None or view.status not in (Status.FAILED, Status.SKIPPED, Status.UNCERTAIN):
        return None
    return f"{view.ref} is {view.status}"


def _invalid(message: str, column: str | None, code: str | None = None) -> Problem:
    return Problem(ErrorClass.VALIDATION, message, code, column)
