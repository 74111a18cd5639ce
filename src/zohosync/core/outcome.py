"""What a reply means for its record: the one place where answers become statuses.

Theory of operation. A write has three endings: it happened (`Accepted`), it did not happen
(`Rejected`, `Throttled`, `Closed`, never sent), or nobody knows. In the third case the record is
`uncertain`, its intent stays open, and nothing but a look-up may follow (D6). A create counts as
not happened after two complete look-ups that found nothing, the first at least
`first_absent_s` after the call's deadline and the second `second_absent_s` later; a change of a
known record after one look-up at that time, since sending it again is harmless.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from zohosync.core.kinds import KINDS, Kind
from zohosync.core.mapping import marked
from zohosync.core.plan import (
    Create,
    Fail,
    Find,
    Nothing,
    Policy,
    Purpose,
    Skip,
    Step,
    Transition,
    Update,
    Wait,
)
from zohosync.core.records import (
    Candidate,
    Claim,
    ErrorClass,
    Payload,
    Problem,
    Ref,
    Status,
    same,
)


@dataclass(frozen=True, slots=True)
class Accepted:
    """Zoho did it; `fields` are the record as the reply shows it, in our spellings."""

    zoho_id: str
    fields: Payload


@dataclass(frozen=True, slots=True)
class Found:
    """A look-up came to its end; `complete` is False where pages could not be read to the end."""

    candidates: tuple[Candidate, ...]
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Rejected:
    """Zoho understood and refused: nothing was done."""

    status: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Throttled:
    """429: the organisation is over a limit; nothing was done."""

    code: str
    retry_after_s: float | None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Unauthorized:
    """The credentials do not open this door, and a new token did not help: nothing was done."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Unavailable:
    """5xx or a page that is not the API's: a write may have happened."""

    status: int
    message: str


@dataclass(frozen=True, slots=True)
class Unreachable:
    """No reply; `sent` is False only when not one byte of the request left."""

    sent: bool
    message: str


@dataclass(frozen=True, slots=True)
class Unusable:
    """A 2xx reply that cannot be read or carries no id: a write may have happened."""

    message: str


@dataclass(frozen=True, slots=True)
class Closed:
    """The gate did not let the call leave; nothing was sent."""

    reason: str
    retry_in_s: float


Reply = (
    Accepted | Found | Rejected | Throttled | Unauthorized | Unavailable | Unreachable | Unusable
    | Closed
)  # fmt: skip

DUPLICATE_CODES = frozenset({"1001", "3062", "13011"})
"""Codes that say a name or number is taken (docs/zoho.md: measured on sister products)."""

MISSING_PARENT_CODES = frozenset({"1002", "1008"})
"""Codes that say something which the request names does not exist (docs/zoho.md)."""


class IntentAfter(StrEnum):
    """What becomes of the open intent."""

    KEEP = "keep"
    CLOSE = "close"
    ABSENT = "absent"  # keep, and remember the first complete look-up that found nothing
    DUPLICATE = "duplicate"  # keep, and remember that Zoho called it a duplicate


@dataclass(frozen=True, slots=True)
class Settlement:
    """What is written when an attempt ends. None keeps what was there; `due_in_s` None = rest."""

    status: Status
    result: str
    due_in_s: float | None = None
    zoho_id: str | None = None
    payload: Payload | None = None
    remote_state: str | None = None
    hints: Mapping[str, Any] = field(default_factory=dict)
    problem: Problem | None = None
    attempts: int = 0
    looks: int = 0
    waiting_on: Ref | None = None
    waiting_needs: frozenset[str] = frozenset()
    intent: IntentAfter = IntentAfter.CLOSE
    gone: bool | None = None
    suspect: Ref | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """What judging needs besides step and reply.

    `taken` names the record that each found Zoho id is already linked to; `roll` is a number in
    [0, 1) for jitter; `down` says that the organisation is down, so attempts are given back.
    """

    now: datetime
    policy: Policy
    marker: str
    marker_field: str | None = None
    roll: float = 0.5
    down: bool = False
    taken: Mapping[str, Ref] = field(default_factory=dict)


def judge(step: Step, reply: Reply | None, claim: Claim, scene: Scene) -> Settlement:
    """The settlement of an attempt; never raises for anything that the remote answered."""
    match step:
        case Nothing():
            return Settlement(Status.SYNCED, "unchanged", gone=False)
        case Skip(reason=reason, gone=gone):
            problem = Problem(ErrorClass.VALIDATION, reason)
            return Settlement(Status.SKIPPED, "skipped", problem=problem, gone=gone)
        case Fail(problem=problem):
            return Settlement(Status.FAILED, "failed", problem=problem, gone=False)
        case Wait(parent=parent, needs=needs, reason=reason):
            problem = Problem(ErrorClass.VALIDATION, reason)
            return Settlement(Status.WAITING, "waiting", problem=problem, waiting_on=parent,
                              waiting_needs=needs, attempts=claim.attempts)  # fmt: skip
        case Create() | Update() | Transition() | Find():
            assert reply is not None
            return _judge_reply(step, reply, claim, scene)


def _judge_reply(
    step: Create | Update | Transition | Find, reply: Reply, claim: Claim, scene: Scene
) -> Settlement:
    writes = not isinstance(step, Find)
    unsure = IntentAfter.KEEP if claim.intent or writes else IntentAfter.CLOSE
    match reply:
        case Accepted():
            assert not isinstance(step, Find)
            return _accepted(step, reply, claim)
        case Found():
            assert isinstance(step, Find)
            return _FOUND[step.purpose](step, reply, claim, scene)
        case Closed(reason=reason, retry_in_s=seconds):
            keep = IntentAfter.KEEP if claim.intent else IntentAfter.CLOSE
            return _given_back(claim, f"closed: {reason}", seconds, keep)
        case Throttled(code=code, message=message):
            keep = IntentAfter.KEEP if claim.intent else IntentAfter.CLOSE
            problem = Problem(ErrorClass.RATE_LIMIT, message or "too many requests", code)
            return replace(_given_back(claim, "throttled", 0.0, keep), problem=problem)
        case Unauthorized(code=code, message=message):
            keep = IntentAfter.KEEP if claim.intent else IntentAfter.CLOSE
            problem = Problem(ErrorClass.AUTHENTICATION, message, code)
            return replace(_given_back(claim, "unauthorized", 0.0, keep), problem=problem)
        case Rejected():
            return _rejected(step, reply, claim)
        case Unreachable(sent=False, message=message):
            problem = Problem(ErrorClass.NETWORK_ERROR, message)
            keep = IntentAfter.KEEP if claim.intent else IntentAfter.CLOSE
            return _again(claim, problem, scene, keep)
        case Unreachable(message=message):
            problem = Problem(ErrorClass.NETWORK_ERROR, message)
        case Unavailable(status=status, message=message):
            problem = Problem(ErrorClass.SERVER_ERROR, message, str(status))
        case Unusable(message=message):
            problem = Problem(ErrorClass.UNKNOWN, message)
    if writes:
        return Settlement(Status.UNCERTAIN, "uncertain", due_in_s=0.0, problem=problem,
                          attempts=claim.attempts, intent=unsure)  # fmt: skip
    return _again(claim, problem, scene, unsure)


def backoff_s(attempts: int, policy: Policy, roll: float) -> float:
    """Seconds before attempt number `attempts` + 1: base, doubled each time, capped, ±25 %."""
    span = min(policy.retry_cap_s, policy.retry_base_s * 2.0 ** max(0, attempts - 1))
    return span * (0.75 + roll / 2)


def _again(claim: Claim, problem: Problem, scene: Scene, intent: IntentAfter) -> Settlement:
    attempts = claim.attempts if scene.down else claim.attempts + 1
    due_in_s = backoff_s(attempts, scene.policy, scene.roll)
    if intent is not IntentAfter.CLOSE:
        return Settlement(Status.UNCERTAIN, "uncertain", due_in_s, problem=problem,
                          attempts=attempts, intent=intent)  # fmt: skip
    if attempts >= scene.policy.max_retries and not scene.down:
        return Settlement(Status.FAILED, "failed", problem=problem, attempts=attempts)
    return Settlement(Status.RETRYING, "retrying", due_in_s, problem=problem, attempts=attempts)


def _given_back(claim: Claim, result: str, seconds: float, intent: IntentAfter) -> Settlement:
    status = Status.PENDING if intent is IntentAfter.CLOSE else Status.UNCERTAIN
    return Settlement(status, result, max(0.0, seconds), attempts=claim.attempts,
                      looks=claim.looks, intent=intent)  # fmt: skip


def _rejected(
    step: Create | Update | Transition | Find, reply: Rejected, claim: Claim
) -> Settlement:
    error_class = ErrorClass.NOT_FOUND if reply.status == 404 else ErrorClass.VALIDATION
    problem = Problem(error_class, reply.message, reply.code)
    if isinstance(step, Create) and reply.code in DUPLICATE_CODES:
        return Settlement(Status.UNCERTAIN, "duplicate", 0.0, problem=problem,
                          attempts=claim.attempts, intent=IntentAfter.DUPLICATE)  # fmt: skip
    keep = IntentAfter.KEEP if isinstance(step, Find) and claim.intent else IntentAfter.CLOSE
    if keep is IntentAfter.KEEP:
        return Settlement(Status.UNCERTAIN, "uncertain", problem=problem, intent=keep)
    return Settlement(Status.FAILED, "failed", problem=problem, attempts=claim.attempts + 1)


def _accepted(
    step: Create | Update | Transition, reply: Accepted, claim: Claim
) -> Settlement:
    kind = KINDS[claim.ref.kind]
    hints = {name: reply.fields[name] for name in kind.hints if reply.fields.get(name)}
    if isinstance(step, Transition):
        return Settlement(_rest(step.more), step.operation, _soon(step.more),
                          remote_state=step.state, gone=False)  # fmt: skip
    result = "created" if isinstance(step, Create) else "updated"
    remote_state = kind.states.of(reply.fields.get("status"))
    if isinstance(step, Update) and not reply.fields.get("status"):
        remote_state = claim.remote_state or remote_state
    done = Settlement(_rest(step.more), result, _soon(step.more), reply.zoho_id, step.wanted,
                      remote_state, hints, gone=False)  # fmt: skip
    total = reply.fields.get("total")
    if step.total is None or total is None or same(step.total, total):
        return done
    problem = Problem(
        ErrorClass.VALIDATION,
        f"the total is {step.total} here and {total} in Zoho: it was not opened; "
        "mend lines, tax or adjustment",
        field="total",
    )
    kept = {name: step.wanted[name] for name in kind.locked.get("*", ()) if name in step.wanted}
    return replace(done, status=Status.FAILED, result="failed", due_in_s=None, payload=kept,
                   problem=problem)  # fmt: skip


def _rest(more: bool) -> Status:
    return Status.PENDING if more else Status.SYNCED


def _soon(more: bool) -> float | None:
    return 0.0 if more else None


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
        isinstance(item, Mapping) and item.get("value") == scene.marker
        and item.get("label") == scene.marker_field
        for item in custom
    )  # fmt: skip
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
    return Settlement(Status.UNCERTAIN, "absent", seconds, problem=problem,
                      attempts=claim.attempts, looks=claim.looks + 1, intent=intent)  # fmt: skip


def _undecided(matches: Sequence[Candidate], reason: str, claim: Claim) -> Settlement:
    ids = ", ".join(sorted(match.zoho_id for match in matches))
    keep = IntentAfter.KEEP if claim.intent else IntentAfter.CLOSE
    problem = Problem(ErrorClass.UNKNOWN, f"{reason} ({ids}): a person must say which is ours")
    return Settlement(Status.UNCERTAIN, "undecided", problem=problem, intent=keep)


def _linked(step: Find, reply: Found, claim: Claim, scene: Scene) -> Settlement:
    kind = KINDS[claim.ref.kind]
    matches = [
        found for found in reply.candidates
        if _near(kind, step, found) and scene.taken.get(found.zoho_id, claim.ref) == claim.ref
    ]  # fmt: skip
    hinted = [found for found in matches if found.zoho_id == step.hint]
    if len(hinted or matches) == 1:
        return _adopted(step, (hinted or matches)[0], claim, scene)
    if matches:
        return _undecided(matches, "more than one record in Zoho fits", claim)
    looks = claim.looks + 1
    if kind.internal:
        name = claim.ref.key.removeprefix("sku:")
        problem = Problem(ErrorClass.VALIDATION, f"Zoho has no {kind.singular} {name!r}: make it "
                          f"there, then `zohosync retry {claim.ref.kind}`")  # fmt: skip
        return Settlement(Status.FAILED, "failed", problem=problem)
    soon = scene.policy.link_retry_s
    if looks > len(soon) + scene.policy.link_retry_daily:
        problem = Problem(ErrorClass.NOT_FOUND, "Zoho was to raise it and has not within a week")
        return Settlement(Status.FAILED, "failed", problem=problem)
    due_in_s = soon[looks - 1] if looks <= len(soon) else 86_400.0
    problem = Problem(ErrorClass.NOT_FOUND, "Zoho has not raised it yet")
    return Settlement(Status.WAITING, "waiting", due_in_s, problem=problem, looks=looks,
                      attempts=claim.attempts, intent=IntentAfter.CLOSE)  # fmt: skip


def _checked(step: Find, reply: Found, claim: Claim, scene: Scene) -> Settlement:
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


_FOUND = {
    Purpose.VERIFY: _verified,
    Purpose.LINK: _linked,
    Purpose.CHECK: _checked,
    Purpose.SEED: _seeded,
}
