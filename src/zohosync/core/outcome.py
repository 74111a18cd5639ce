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
from zohosync.core.lookups import found
from zohosync.core.plan import (
    Create,
    Fail,
    Find,
    Nothing,
    Policy,
    Skip,
    Step,
    Transition,
    Update,
    Wait,
)
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
from zohosync.core.settlement import IntentAfter, Scene, Settlement

DUPLICATE_CODES = frozenset({"1001", "3062", "13011"})
"""Codes that say a name or number is taken (docs/zoho.md: measured on sister products)."""

MISSING_PARENT_CODES = frozenset({"1002", "1008"})
"""Codes that say something which the request names does not exist (docs/zoho.md)."""


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
            return Settlement(
                Status.WAITING,
                "waiting",
                problem=problem,
                waiting_on=parent,
                waiting_needs=needs,
                attempts=claim.attempts,
            )
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
            return found(step, reply, claim, scene)
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
        return Settlement(
            Status.UNCERTAIN,
            "uncertain",
            due_in_s=0.0,
            problem=problem,
            attempts=claim.attempts,
            intent=unsure,
        )
    return _again(claim, problem, scene, unsure)


def backoff_s(attempts: int, policy: Policy, roll: float) -> float:
    """Seconds before attempt number `attempts` + 1: base, doubled each time, capped, ±25 %."""
    span = min(policy.retry_cap_s, policy.retry_base_s * 2.0 ** max(0, attempts - 1))
    return span * (0.75 + roll / 2)


def _again(claim: Claim, problem: Problem, scene: Scene, intent: IntentAfter) -> Settlement:
    attempts = claim.attempts if scene.down else claim.attempts + 1
    due_in_s = backoff_s(attempts, scene.policy, scene.roll)
    if intent is not IntentAfter.CLOSE:
        return Settlement(
            Status.UNCERTAIN,
            "uncertain",
            due_in_s,
            problem=problem,
            attempts=attempts,
            intent=intent,
        )
    if attempts >= scene.policy.max_retries and not scene.down:
        return Settlement(Status.FAILED, "failed", problem=problem, attempts=attempts)
    return Settlement(Status.RETRYING, "retrying", due_in_s, problem=problem, attempts=attempts)


def _given_back(claim: Claim, result: str, seconds: float, intent: IntentAfter) -> Settlement:
    status = Status.PENDING if intent is IntentAfter.CLOSE else Status.UNCERTAIN
    return Settlement(
        status, result, max(0.0, seconds), attempts=claim.attempts, looks=claim.looks, intent=intent
    )


def _rejected(
    step: Create | Update | Transition | Find, reply: Rejected, claim: Claim
) -> Settlement:
    error_class = ErrorClass.NOT_FOUND if reply.status == 404 else ErrorClass.VALIDATION
    problem = Problem(error_class, reply.message, reply.code)
    if isinstance(step, Create) and reply.code in DUPLICATE_CODES:
        return Settlement(
            Status.UNCERTAIN,
            "duplicate",
            0.0,
            problem=problem,
            attempts=claim.attempts,
            intent=IntentAfter.DUPLICATE,
        )
    keep = IntentAfter.KEEP if isinstance(step, Find) and claim.intent else IntentAfter.CLOSE
    if keep is IntentAfter.KEEP:
        return Settlement(Status.UNCERTAIN, "uncertain", problem=problem, intent=keep)
    return Settlement(Status.FAILED, "failed", problem=problem, attempts=claim.attempts + 1)


def _accepted(step: Create | Update | Transition, reply: Accepted, claim: Claim) -> Settlement:
    kind = KINDS[claim.ref.kind]
    hints = {name: reply.fields[name] for name in kind.hints if reply.fields.get(name)}
    if isinstance(step, Transition):
        return Settlement(
            _rest(step.more), step.operation, _soon(step.more), remote_state=step.state, gone=False
        )
    result = "created" if isinstance(step, Create) else "updated"
    remote_state = kind.states.of(reply.fields.get("status"))
    if isinstance(step, Update) and not reply.fields.get("status"):
        remote_state = claim.remote_state or remote_state
    done = Settlement(
        _rest(step.more),
        result,
        _soon(step.more),
        reply.zoho_id,
        step.wanted,
        remote_state,
        hints,
        gone=False,
    )
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
    return replace(
        done, status=Status.FAILED, result="failed", due_in_s=None, payload=kept, problem=problem
    )


def _rest(more: bool) -> Status:
    return Status.PENDING if more else Status.SYNCED


def _soon(more: bool) -> float | None:
    return 0.0 if more else None
