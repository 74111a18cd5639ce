"""What a reply means for its record: the one place where answers become statuses.

Theory of operation. A write has three endings: it happened (`Accepted`), it did not happen
(`Rejected`, `Throttled`, `Closed`, never sent), or nobody knows. In the third case the record is
`uncertain`, its intent stays open, and nothing but a look-up may follow (D6). A create counts as
not happened after two complete look-ups that found nothing, the first at least
`first_absent_s` after the call's deadline and the second `second_absent_s` later; a change of a
known record after one look-up at that time, since sending it again is harmless.
"""

from dataclasses import replace

from zohosync.core.kinds import KINDS
from zohosync.core.lines import KEPT, LINE_IDS, line_ids, plain_kept
from zohosync.core.lookups import found
from zohosync.core.plan import Policy
from zohosync.core.records import (
    Claim,
    ErrorClass,
    Problem,
    Status,
    same,
)
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
from zohosync.core.settlement import IntentAfter, Scene, Settlement, look_again_s, unequal
from zohosync.core.steps import (
    Create,
    Fail,
    Find,
    Inherit,
    Later,
    Nothing,
    Skip,
    Step,
    Transition,
    Update,
    Wait,
)

DUPLICATE_CODES = frozenset({"1001", "3062", "13011"})
"""Codes that say a name or number is taken (docs/zoho.md: measured on sister products)."""

MISSING_CODES = frozenset({"1002", "1008"})
"""Codes that say something which the request names does not exist (docs/zoho.md)."""

WRONG_PATH_CODE = "5"
"""A 404 of this code is about the path, not about a record (Books)."""


def judge(step: Step, reply: Reply | None, claim: Claim, scene: Scene) -> Settlement:
    """The settlement of an attempt; never raises for anything that the remote answered."""
    # Who had the key before its row was gone is remembered until something is done for the row.
    present = None if claim.gone_identity else False
    match step:
        case Nothing():
            return Settlement(Status.SYNCED, "unchanged", gone=False)
        case Skip(reason=reason, gone=gone):
            problem = Problem(ErrorClass.VALIDATION, reason)
            return Settlement(Status.SKIPPED, "skipped", problem=problem, gone=gone or present)
        case Fail(problem=problem):
            return Settlement(
                Status.FAILED,
                "failed",
                problem=problem,
                gone=present,
                waiting_on=step.parent,
                seek_s=step.seek_s,
            )
        case Wait(parent=parent, needs=needs, reason=reason, seek_s=seek_s):
            problem = Problem(ErrorClass.VALIDATION, reason)
            return Settlement(
                Status.WAITING,
                "waiting",
                problem=problem,
                waiting_on=parent,
                waiting_needs=needs,
                attempts=claim.attempts,
                looks=0 if seek_s is None else 1,  # it has asked: the next look answers it
                seek_s=seek_s,
                gone=step.gone or None,
            )
        case Inherit():
            return Settlement(
                Status.PENDING,
                "inherited",
                0.0,
                step.zoho_id,
                step.payload,
                step.remote_state,
                step.hints,
                gone=False,
                heir_of=step.heir_of,
            )
        case Later(reason=reason):
            problem = Problem(ErrorClass.UNKNOWN, reason)
            seconds = look_again_s(claim.looks) / 6
            return Settlement(
                Status.RETRYING,
                "retrying",
                seconds,
                problem=problem,
                attempts=claim.attempts,
                looks=claim.looks + 1,
                gone=step.gone or None,
            )
        case Create() | Update() | Transition() | Find():
            assert reply is not None
            return _judge_reply(step, reply, claim, scene)


def _judge_reply(
    step: Create | Update | Transition | Find, reply: Reply, claim: Claim, scene: Scene
) -> Settlement:
    writes = not isinstance(step, Find)
    keep = IntentAfter.KEEP if claim.intent else IntentAfter.CLOSE
    match reply:
        case Accepted() if not isinstance(step, Find) and reply.zoho_id:
            return _accepted(step, reply, claim)
        case Found() if isinstance(step, Find):
            return found(step, reply, claim, scene)
        case Accepted() | Found():
            problem = Problem(ErrorClass.UNKNOWN, "the reply is not one to what was asked")
        case Closed(reason=reason, retry_in_s=seconds):
            return _given_back(claim, f"closed: {reason}", seconds, keep)
        case Throttled(code=code, message=message):
            problem = Problem(ErrorClass.RATE_LIMIT, message or "too many requests", code)
            return replace(_given_back(claim, "throttled", 0.0, keep), problem=problem)
        case Unauthorized(code=code, message=message):
            problem = Problem(ErrorClass.AUTHENTICATION, message, code)
            return replace(_given_back(claim, "unauthorized", 0.0, keep), problem=problem)
        case Rejected():
            return _rejected(step, reply, claim, scene)
        case Unreachable(sent=False, message=message):
            problem = Problem(ErrorClass.NETWORK_ERROR, message)
            return _again(claim, problem, scene, keep)
        case Unreachable(message=message):
            problem = Problem(ErrorClass.NETWORK_ERROR, message)
        case Unavailable(status=status, message=message):
            problem = Problem(ErrorClass.SERVER_ERROR, message, str(status))
        case Unusable(message=message):
            problem = Problem(ErrorClass.UNKNOWN, message)
    if writes:
        return Settlement(
            Status.UNCERTAIN,
            "uncertain",
            due_in_s=0.0,
            problem=problem,
            attempts=claim.attempts,
            intent=IntentAfter.KEEP,
        )
    return _again(claim, problem, scene, keep)


def backoff_s(attempts: int, policy: Policy, roll: float) -> float:
    """Seconds before attempt number `attempts` + 1: base, doubled each time, capped, ±25 %."""
    doublings = min(max(0, attempts - 1), 32)
    span = min(policy.retry_cap_s, policy.retry_base_s * 2.0**doublings)
    return span * (0.75 + roll / 2)


def _again(claim: Claim, problem: Problem, scene: Scene, intent: IntentAfter) -> Settlement:
    attempts = claim.attempts if scene.down else claim.attempts + 1
    due_in_s = backoff_s(attempts, scene.policy, scene.roll)
    if intent is not IntentAfter.CLOSE:
        if attempts > scene.policy.max_retries:
            due_in_s = look_again_s(attempts - scene.policy.max_retries)
        return Settlement(
            Status.UNCERTAIN,
            "uncertain",
            due_in_s,
            problem=problem,
            attempts=attempts,
            looks=claim.looks,
            intent=intent,
        )
    if attempts >= scene.policy.max_retries and not scene.down:
        return Settlement(Status.FAILED, "failed", problem=problem, attempts=attempts)
    return Settlement(
        Status.RETRYING,
        "retrying",
        due_in_s,
        problem=problem,
        attempts=attempts,
        looks=claim.looks,
    )


def _given_back(claim: Claim, result: str, seconds: float, intent: IntentAfter) -> Settlement:
    status = Status.PENDING if intent is IntentAfter.CLOSE else Status.UNCERTAIN
    return Settlement(
        status, result, max(0.0, seconds), attempts=claim.attempts, looks=claim.looks, intent=intent
    )


def _rejected(
    step: Create | Update | Transition | Find, reply: Rejected, claim: Claim, scene: Scene
) -> Settlement:
    last = claim.attempts + 1 >= scene.policy.max_retries
    lost = reply.code in MISSING_CODES or (reply.status == 404 and reply.code != WRONG_PATH_CODE)
    if isinstance(step, Create) and reply.code in DUPLICATE_CODES:
        return Settlement(
            Status.UNCERTAIN,
            "duplicate",
            0.0,
            problem=Problem(ErrorClass.VALIDATION, reply.message, reply.code),
            attempts=claim.attempts,
            intent=IntentAfter.DUPLICATE,
        )
    if isinstance(step, Create) and step.parents and lost and not last:
        return _orphaned(step, reply, claim)
    if isinstance(step, Find) and claim.intent:
        problem = Problem(ErrorClass.UNKNOWN, reply.message, reply.code)
        if not last:
            return _again(claim, problem, scene, IntentAfter.KEEP)
        return Settlement(Status.UNCERTAIN, "undecided", problem=problem, intent=IntentAfter.KEEP)
    own = isinstance(step, Transition) or (isinstance(step, Update) and reply.status == 404)
    error_class = ErrorClass.NOT_FOUND if lost and own else ErrorClass.VALIDATION
    problem = Problem(error_class, reply.message, reply.code)
    return Settlement(Status.FAILED, "failed", problem=problem, attempts=claim.attempts + 1)


def _orphaned(step: Create, reply: Rejected, claim: Claim) -> Settlement:
    """Zoho lacks something that the create names: whether that parent is there is looked up.

    It is the one that the message names; else, one parent after the other.
    """
    said = reply.message.lower()
    named = [parent for parent in step.parents if KINDS[parent.kind].singular in said]
    suspects = named or step.parents
    suspect = suspects[claim.attempts % len(suspects)]
    return Settlement(
        Status.WAITING,
        "orphaned",
        problem=Problem(ErrorClass.VALIDATION, reply.message, reply.code),
        attempts=claim.attempts + 1,
        waiting_on=suspect,
        suspect=suspect,
    )


def _accepted(step: Create | Update | Transition, reply: Accepted, claim: Claim) -> Settlement:
    kind = KINDS[claim.ref.kind]
    hints = {name: reply.fields[name] for name in kind.hints if reply.fields.get(name)}
    if ids := line_ids(kind, reply.fields):
        hints[LINE_IDS] = ids
    if KEPT in claim.hints and isinstance(step, Update):
        said = {name: step.fields[name] for name in kind.always if name in step.fields}
        hints[KEPT] = plain_kept({**claim.hints[KEPT], **said})
    if isinstance(step, Transition):
        rest, soon = _rest(step.more), _soon(step.more)
        return Settlement(rest, step.operation, soon, remote_state=step.state, gone=step.gone)
    here = claim.remote_state or kind.states.initial
    if isinstance(step, Create):
        result, here = "created", kind.states.initial
    else:
        result = "updated"
    status = reply.fields.get("status")
    remote_state = kind.states.of(status) if status else here
    more = step.more or remote_state != here  # Zoho moved it by itself: look again
    done = Settlement(
        _rest(more),
        result,
        _soon(more),
        reply.zoho_id,
        step.wanted,
        remote_state,
        hints,
        gone=False,
    )
    total = reply.fields.get("total")
    if step.total is None or total is None or same(step.total, total):
        return done
    return unequal(kind, done, step.wanted, step.total, total)


def _rest(more: bool) -> Status:
    return Status.PENDING if more else Status.SYNCED


def _soon(more: bool) -> float | None:
    return 0.0 if more else None
