"""What a look-up proves: ours beyond doubt, not there, or for a person to say."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from zohosync.core.catalog import sought_again_s
from zohosync.core.kind import Kind
from zohosync.core.kinds import KINDS
from zohosync.core.lines import KEPT, kept_of, without_line_ids
from zohosync.core.mapping import marked
from zohosync.core.plan import RAISED, UNLISTED
from zohosync.core.records import (
    Candidate,
    Claim,
    ErrorClass,
    Problem,
    Ref,
    Status,
    differing,
    same,
)
from zohosync.core.replies import Found
from zohosync.core.settlement import (
    TAKEN,
    UNKNOWN,
    IntentAfter,
    Scene,
    Settlement,
    look_again_s,
    unequal,
)
from zohosync.core.steps import Find, Purpose


def ours(kind: Kind, step: Find, candidate: Candidate, scene: Scene) -> bool:
    """Whether a found record is, beyond doubt, the one that we wrote: exact, on our side."""
    if not _equal(kind.identity, step, candidate):
        return False
    if kind.marker is None or kind.marker_is_whole:
        return bool(kind.identity)
    custom = candidate.fields.get("custom_fields")
    in_custom = isinstance(custom, list) and any(
        isinstance(item, Mapping)
        and item.get("value") == scene.marker
        and item.get("label") == scene.marker_field
        for item in custom
    )
    return in_custom or marked(candidate.fields.get(kind.marker), scene.marker)


def _equal(names: Sequence[str], step: Find, candidate: Candidate) -> bool:
    """Whether these fields are there and equal; a total that nobody reckoned is not compared."""
    expected = {**step.expected, "total": step.total}
    return all(
        (name == "total" and step.total is None)
        or (
            expected.get(name) not in (None, "")
            and same(expected[name], candidate.fields.get(name))
        )
        for name in names
    )


def _near(kind: Kind, step: Find, candidate: Candidate) -> bool:
    """Whether a record that Zoho raised is the one wanted: same customer and total, date near."""
    if not _equal(kind.near_identity or tuple(step.expected), step, candidate):
        return False
    if not kind.near_days:
        return True
    wanted, seen = step.expected.get("date"), candidate.fields.get("date")
    try:
        apart = date.fromisoformat(str(wanted)) - date.fromisoformat(str(seen))
    except ValueError:
        return False
    return abs(apart) <= timedelta(days=kind.near_days)


def _adopted(step: Find, candidate: Candidate, claim: Claim) -> Settlement:
    """The found record is ours: link it."""
    kind = KINDS[claim.ref.kind]
    hints = {name: candidate.fields[name] for name in kind.hints if candidate.fields.get(name)}
    if step.purpose is Purpose.LINK and not kind.internal:
        hints[RAISED] = True
    if step.purpose is Purpose.LINK and kind.listed and not kind.internal:
        return _adopted_own(kind, candidate, hints)
    resting = kind.internal
    return Settlement(
        Status.SYNCED if resting else Status.PENDING,
        "adopted" if step.purpose is Purpose.VERIFY else "linked",
        None if resting else 0.0,
        candidate.zoho_id,
        step.expected,
        kind.states.of(candidate.fields.get("status")),
        hints,
        gone=False,
    )


def _adopted_own(kind: Kind, candidate: Candidate, hints: Mapping[str, Any]) -> Settlement:
    """No row has its key, and Zoho has it: it is linked for its children's sake, and left alone."""
    return Settlement(
        Status.SKIPPED,
        "linked",
        zoho_id=candidate.zoho_id,
        payload={name: value for name, value in candidate.fields.items() if name != "status"},
        remote_state=kind.states.of(candidate.fields.get("status")),
        hints=hints,
        problem=Problem(ErrorClass.VALIDATION, "it is Zoho's own: no row here has its key"),
        gone=True,
    )


def _lines_equal(kind: Kind, step: Find, candidate: Candidate) -> bool:
    """Whether every line is as it was sent: then it is ours, whatever we reckoned it came to."""
    sent, seen = (fields.get(kind.lines or "") for fields in (step.expected, candidate.fields))
    if not isinstance(sent, list) or not isinstance(seen, list) or len(sent) != len(seen) != 0:
        return False
    return all(
        same(line.get(name), shown.get(name))
        for line, shown in zip(sent, seen, strict=True)
        for name in kind.line_identity
    )


def _adopted_unequal(step: Find, candidate: Candidate, claim: Claim) -> Settlement:
    """It is ours, and comes to another total than the row says: linked, and not opened."""
    kind = KINDS[claim.ref.kind]
    found = _adopted(step, candidate, claim)
    return unequal(kind, found, step.expected, step.total, candidate.fields.get("total"))


def _owner(candidate: Candidate, claim: Claim, scene: Scene) -> Ref | None:
    """The other record that a found one is linked to already, if there is one."""
    owner = scene.taken.get(candidate.zoho_id)
    return None if owner == claim.ref else owner


def _is_anothers(step: Find, candidate: Candidate, scene: Scene) -> bool:
    """Whether a reply named it as the child of another record than the one that the row names.

    A promise is no link: it says something to a row that names such a parent, and nothing to one
    that names none. That nobody was promised it says nothing at all: replies name first children.
    """
    kinds = {parent.kind for parent in step.parents}
    promised = {to for to in scene.promised.get(candidate.zoho_id, ()) if to.kind in kinds}
    return bool(promised) and promised.isdisjoint(step.parents)


def _conflict(candidate: Candidate, owner: Ref, claim: Claim) -> Settlement:
    kind = KINDS[claim.ref.kind]
    problem = Problem(
        ErrorClass.VALIDATION,
        f"{kind.singular} {candidate.zoho_id} in Zoho is already linked to {owner}, "
        f"and {claim.ref} matches it too: make them differ here",
        code=TAKEN,
    )
    return Settlement(Status.FAILED, "failed", problem=problem)


def _verified(step: Find, reply: Found, claim: Claim, scene: Scene) -> Settlement:
    kind, intent = KINDS[claim.ref.kind], claim.intent
    assert intent is not None
    if step.zoho_id is not None:
        return _verified_change(step, reply, claim, scene)
    matches = [found for found in reply.candidates if ours(kind, step, found, scene)]
    free = [found for found in matches if _owner(found, claim, scene) is None]
    if len(free) == 1:
        return _adopted(step, free[0], claim)
    if len(free) > 1:
        return _undecided(free, "two or more records in Zoho carry its natural key", claim)
    sent = [name for name in kind.identity if name != "total"]
    alike = [found for found in reply.candidates if sent and _equal(sent, step, found)]
    alike = [found for found in alike if _owner(found, claim, scene) is None]
    if len(alike) == 1 and _lines_equal(kind, step, alike[0]):
        return _adopted_unequal(step, alike[0], claim)
    if alike and not intent.duplicate:
        return _undecided(alike, "its natural key is there, but not all of it is ours", claim)
    if not reply.complete:
        return _look_again(claim, look_again_s(claim.looks), IntentAfter.KEEP)
    if intent.duplicate:
        problem = Problem(
            ErrorClass.VALIDATION,
            "Zoho says that its number or name is taken, by a record that is not ours: "
            "give it another one here",
            code="duplicate",
        )
        return Settlement(Status.FAILED, "failed", problem=problem)
    since_deadline = (scene.now - intent.deadline).total_seconds()
    if intent.absent_at is None:
        if since_deadline < scene.policy.first_absent_s:
            return _look_again(
                claim, scene.policy.first_absent_s - since_deadline, IntentAfter.KEEP
            )
        return _look_again(claim, scene.policy.second_absent_s, IntentAfter.ABSENT)
    since_first = (scene.now - intent.absent_at).total_seconds()
    if since_first < scene.policy.second_absent_s:
        return _look_again(claim, scene.policy.second_absent_s - since_first, IntentAfter.KEEP)
    if matches:  # not ours, yet a new one would be its double
        return _conflict(matches[0], scene.taken[matches[0].zoho_id], claim)
    return Settlement(Status.PENDING, "absent", 0.0, attempts=claim.attempts)


def _verified_change(step: Find, reply: Found, claim: Claim, scene: Scene) -> Settlement:
    kind, intent = KINDS[claim.ref.kind], claim.intent
    assert intent is not None
    seen = reply.candidates[0].fields if reply.candidates else None
    if seen is None and not reply.complete:
        return _look_again(claim, look_again_s(claim.looks), IntentAfter.KEEP)
    if seen is None:
        return _missing(step, claim)
    state = kind.states.of(seen.get("status"))
    known = claim.payload or {}
    if step.state is not None:
        happened = state == step.state
        payload = None
    else:
        kept = claim.hints.get(KEPT) or {}  # what was only said again tells nothing
        expected = {
            name: value for name, value in step.expected.items()
            if name not in kept or not same(value, kept[name])
        }  # fmt: skip
        totals = step.total is None or same(step.total, seen.get("total"))
        happened = totals and all(
            name in seen and same(value, seen[name]) for name, value in expected.items()
        )
        # What a PUT of lines did is not told from its list: it is sent once more.
        happened = happened and kind.lines not in expected
        # What was to change is from now on what Zoho shows of it, for it may have changed; what it
        # does not show (an invoice's terms, for one) nobody knows: that is sent once more.
        sent = without_line_ids(kind, expected)
        changed = differing(sent, known)
        payload = {**known, **(sent if happened else {n: seen.get(n, UNKNOWN) for n in changed})}
    if happened:
        return Settlement(Status.PENDING, "adopted", 0.0, payload=payload, remote_state=state)
    left = scene.policy.first_absent_s - (scene.now - intent.deadline).total_seconds()
    if left > 0:
        return _look_again(claim, left, IntentAfter.KEEP)
    return Settlement(
        Status.PENDING,
        "absent",
        0.0,
        payload=payload,
        remote_state=state,
        attempts=claim.attempts,
    )


def _look_again(claim: Claim, seconds: float, intent: IntentAfter) -> Settlement:
    problem = Problem(ErrorClass.UNKNOWN, "not found in Zoho; it may still appear there")
    return Settlement(
        Status.UNCERTAIN,
        "absent",
        seconds,
        problem=problem,
        attempts=claim.attempts,
        looks=claim.looks + 1,
        intent=intent,
    )


def _undecided(matches: Sequence[Candidate], reason: str, claim: Claim) -> Settlement:
    ids = ", ".join(sorted(match.zoho_id for match in matches))
    keep = IntentAfter.KEEP if claim.intent else IntentAfter.CLOSE
    problem = Problem(ErrorClass.UNKNOWN, f"{reason} ({ids}): a person must say which is ours")
    return Settlement(Status.UNCERTAIN, "undecided", problem=problem, intent=keep)


def _linked(step: Find, reply: Found, claim: Claim, scene: Scene) -> Settlement:
    kind = KINDS[claim.ref.kind]
    matches = [
        found
        for found in reply.candidates
        if _near(kind, step, found)
        and _owner(found, claim, scene) is None
        and not _is_anothers(step, found, scene)
    ]
    hinted = [found for found in matches if found.zoho_id == step.hint]
    if hinted:
        return _adopted(step, hinted[0], claim)
    if not reply.complete:
        problem = Problem(ErrorClass.UNKNOWN, "Zoho's list could not be read to its end")
        return Settlement(
            Status.RETRYING,
            "retrying",
            look_again_s(claim.attempts),
            problem=problem,
            attempts=claim.attempts + 1,
            looks=claim.looks,
        )
    if len(matches) == 1:
        return _adopted(step, matches[0], claim)
    if matches:
        return _undecided(matches, "more than one record in Zoho fits", claim)
    looks = claim.looks + 1
    if kind.listed:
        return _unlisted(kind, reply, claim, scene)
    if kind.internal:
        name = claim.ref.key.removeprefix("sku:")
        problem = Problem(
            ErrorClass.VALIDATION,
            f"Zoho has no {kind.singular} {name!r}: make it "
            f"there, then `zohosync retry {claim.ref.kind}`",
        )
        return Settlement(Status.FAILED, "failed", problem=problem)
    soon = scene.policy.link_retry_s
    if looks > len(soon) + scene.policy.link_retry_daily:
        problem = Problem(ErrorClass.NOT_FOUND, "Zoho was to raise it and has not within a week")
        return Settlement(Status.FAILED, "failed", problem=problem)
    due_in_s = soon[looks - 1] if looks <= len(soon) else 86_400.0
    problem = Problem(ErrorClass.NOT_FOUND, "Zoho has not raised it yet")
    return Settlement(
        Status.WAITING,
        "waiting",
        due_in_s,
        problem=problem,
        looks=looks,
        attempts=claim.attempts,
        intent=IntentAfter.CLOSE,
    )


def _unlisted(kind: Kind, reply: Found, claim: Claim, scene: Scene) -> Settlement:
    """Neither here nor in Zoho: its children are refused, and it is looked for ever more rarely.

    What was answered from a copy may have been made since: the next look is soon.
    """
    soon_s = scene.policy.misses_ttl_s if reply.spared else sought_again_s(claim.looks + 1)
    nor = "" if kind.internal else f"no row of {kind.name} has that key, and "
    near = f"; near it: {', '.join(reply.near)}" if reply.near else ""
    problem = Problem(
        ErrorClass.VALIDATION,
        f"unknown {kind.singular} {claim.ref.key!r}: {nor}Zoho has none of that "
        f"{kind.identity[0]}{near}",
        UNLISTED,
    )
    return Settlement(
        Status.WAITING, "waiting", soon_s, problem=problem, attempts=claim.attempts,
        looks=claim.looks + 1,
    )  # fmt: skip


def _checked(step: Find, reply: Found, claim: Claim, _scene: Scene) -> Settlement:
    if not reply.candidates and not reply.complete:
        problem = Problem(ErrorClass.UNKNOWN, "it could not be read whether Zoho still has it")
        return Settlement(Status.RETRYING, "retrying", 60.0, problem=problem)
    if not reply.candidates:
        return replace(_missing(step, claim), checked=True)
    fields = reply.candidates[0].fields
    hints = {KEPT: kept_of(KINDS[claim.ref.kind], fields)} if KEPT in claim.hints else {}
    return Settlement(
        Status.PENDING, "checked", 0.0, hints=hints, attempts=claim.attempts, checked=True
    )


def _missing(step: Find, claim: Claim) -> Settlement:
    kind = KINDS[claim.ref.kind]
    problem = Problem(
        ErrorClass.NOT_FOUND,
        f"{kind.singular} {step.zoho_id} is no longer in Zoho: it is not made anew by itself",
        code="404",
    )
    return Settlement(Status.FAILED, "failed", problem=problem)


def _seeded(step: Find, reply: Found, claim: Claim, scene: Scene) -> Settlement:
    kind = KINDS[claim.ref.kind]
    names = [name for group in kind.somebody for name in group]
    names = names or [name for name in kind.identity if name != kind.marker]
    for found in reply.candidates:
        if _equal(names, step, found):
            owner = _owner(found, claim, scene)
            return _adopted(step, found, claim) if owner is None else _conflict(found, owner, claim)
    problem = Problem(
        ErrorClass.VALIDATION,
        f"zoho_id {step.zoho_id} of the mapping is not this {kind.singular} in Zoho "
        f"({', '.join(names)} differ or it is not there): correct or clear it",
        field="zoho_id",
    )
    return Settlement(Status.FAILED, "failed", problem=problem)


def found(step: Find, reply: Found, claim: Claim, scene: Scene) -> Settlement:
    """What the end of a look-up means for its record; what it is not counts as not there (0014)."""
    if claim.excluded:
        others = (each for each in reply.candidates if each.zoho_id not in claim.excluded)
        reply = replace(reply, candidates=tuple(others))
    return _FOUND[step.purpose](step, reply, claim, scene)


_FOUND: Mapping[Purpose, Callable[[Find, Found, Claim, Scene], Settlement]] = {
    Purpose.VERIFY: _verified,
    Purpose.LINK: _linked,
    Purpose.CHECK: _checked,
    Purpose.SEED: _seeded,
}
