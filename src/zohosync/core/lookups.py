"""What a look-up proves: ours beyond doubt, not there, or for a person to say."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta

from zohosync.core.kinds import KINDS, Kind
from zohosync.core.mapping import marked
from zohosync.core.plan import Find, Purpose
from zohosync.core.records import Candidate, Claim, ErrorClass, Problem, Status, same
from zohosync.core.replies import Found
from zohosync.core.settlement import IntentAfter, Scene, Settlement


def ours(kind: Kind, step: Find, candidate: Candidate, scene: Scene) -> bool:
    """Whether a found record is, beyond doubt, the one that we wrote: exact, on our side."""
    expected = dict(step.expected)
    if step.total is not None:
        expected["total"] = step.total
    for name in kind.identity:
        if name in expected and not same(expected[name], candidate.fields.get(name)):
            return False
    if kind.marker is None or kind.marker_is_whole:
        return bool(kind.identity)
    custom = candidate.fields.get("custom_fields") or []
    in_custom = any(
        isinstance(item, Mapping)
        and item.get("value") == scene.marker
        and item.get("label") == scene.marker_field
        for item in custom
    )
    return in_custom or marked(candidate.fields.get(kind.marker), scene.marker)


def _near(kind: Kind, step: Find, candidate: Candidate) -> bool:
    """Whether a record that Zoho raised is the one wanted: same customer and total, date near."""
    expected = dict(step.expected)
    if step.total is not None:
        expected["total"] = step.total
    for name in kind.near_identity or tuple(step.expected):
        if name in expected and not same(expected[name], candidate.fields.get(name)):
            return False
    if not kind.near_days:
        return True
    wanted, seen = step.expected.get("date"), candidate.fields.get("date")
    try:
        apart = date.fromisoformat(str(wanted)) - date.fromisoformat(str(seen))
    except ValueError:
        return False
    return abs(apart) <= timedelta(days=kind.near_days)


def _adopted(step: Find, candidate: Candidate, claim: Claim, scene: Scene) -> Settlement:
    """The found record is ours: link it, unless it is linked to somebody else already."""
    kind = KINDS[claim.ref.kind]
    other = scene.taken.get(candidate.zoho_id)
    if other is not None and other != claim.ref:
        problem = Problem(
            ErrorClass.VALIDATION,
            f"{kind.singular} {candidate.zoho_id} in Zoho is already linked to {other}, "
            f"and {claim.ref} matches it too: make them differ here",
        )
        return Settlement(Status.FAILED, "failed", problem=problem)
    hints = {name: candidate.fields[name] for name in kind.hints if candidate.fields.get(name)}
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


def _verified(step: Find, reply: Found, claim: Claim, scene: Scene) -> Settlement:
    kind, intent = KINDS[claim.ref.kind], claim.intent
    assert intent is not None
    if step.zoho_id is not None:
        return _verified_change(step, reply, claim, scene)
    matches = [found for found in reply.candidates if ours(kind, step, found, scene)]
    if len(matches) == 1:
        return _adopted(step, matches[0], claim, scene)
    if len(matches) > 1:
        return _undecided(matches, "two or more records in Zoho carry its natural key", claim)
    if not reply.complete:
        return _look_again(claim, 60.0, IntentAfter.KEEP)
    if intent.duplicate:
        problem = Problem(
            ErrorClass.VALIDATION,
            "Zoho says that its number or name is taken, by a record that is not ours: "
            "give it another one here, or settle it by hand",
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
    return Settlement(Status.PENDING, "absent", 0.0, attempts=claim.attempts)


def _verified_change(step: Find, reply: Found, claim: Claim, scene: Scene) -> Settlement:
    kind, intent = KINDS[claim.ref.kind], claim.intent
    assert intent is not None
    seen = reply.candidates[0].fields if reply.candidates else None
    if seen is None:
        return _missing(step, claim)
    state = kind.states.of(seen.get("status"))
    if step.state is not None:
        happened = state == step.state
    else:
        happened = all(
            same(value, seen.get(name)) for name, value in step.expected.items() if name in seen
        )
    if happened:
        payload = None if step.state is not None else step.expected
        return Settlement(Status.PENDING, "adopted", 0.0, payload=payload, remote_state=state)
    left = scene.policy.first_absent_s - (scene.now - intent.deadline).total_seconds()
    if left > 0:
        return _look_again(claim, left, IntentAfter.KEEP)
    return Settlement(Status.PENDING, "absent", 0.0, remote_state=state, attempts=claim.attempts)


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
        if _near(kind, step, found) and scene.taken.get(found.zoho_id, claim.ref) == claim.ref
    ]
    hinted = [found for found in matches if found.zoho_id == step.hint]
    if len(hinted or matches) == 1:
        return _adopted(step, (hinted or matches)[0], claim, scene)
    if matches:
        return _undecided(matches, "more than one record in Zoho fits", claim)
    looks = claim.looks + 1
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


def _checked(step: Find, reply: Found, claim: Claim, _scene: Scene) -> Settlement:
    if not reply.candidates:
        return _missing(step, claim)
    return Settlement(Status.PENDING, "checked", 0.0, attempts=claim.attempts)


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
    names = [name for group in kind.somebody for name in group] or list(kind.identity)
    for found in reply.candidates:
        if all(same(step.expected.get(name), found.fields.get(name)) for name in names):
            return _adopted(step, found, claim, scene)
    problem = Problem(
        ErrorClass.VALIDATION,
        f"zoho_id {step.zoho_id} of the mapping is not this {kind.singular} in Zoho "
        f"({', '.join(names)} differ or it is not there): correct or clear it",
        field="zoho_id",
    )
    return Settlement(Status.FAILED, "failed", problem=problem)


def found(step: Find, reply: Found, claim: Claim, scene: Scene) -> Settlement:
    """What the end of a look-up means for its record."""
    return _FOUND[step.purpose](step, reply, claim, scene)


_FOUND: Mapping[Purpose, Callable[[Find, Found, Claim, Scene], Settlement]] = {
    Purpose.VERIFY: _verified,
    Purpose.LINK: _linked,
    Purpose.CHECK: _checked,
    Purpose.SEED: _seeded,
}
