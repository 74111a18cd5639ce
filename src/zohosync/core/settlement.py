"""What an attempt leaves behind: the value that is written when it ends."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from zohosync.core.kind import Kind
from zohosync.core.plan import Policy
from zohosync.core.records import Claim, ErrorClass, Payload, Problem, Ref, Status
from zohosync.core.steps import Purpose


class IntentAfter(StrEnum):
    """What becomes of the open intent."""

    KEEP = "keep"
    CLOSE = "close"
    ABSENT = "absent"  # keep, and remember the first complete look-up that found nothing
    DUPLICATE = "duplicate"  # keep, and remember that Zoho called it a duplicate


@dataclass(frozen=True, slots=True)
class Settlement:
    """What is written when an attempt ends. None keeps what was there; `due_in_s` None = rest.

    `suspect` is the parent that Zoho may have lost: it is to be checked, and the record waits on
    it; `checked` says that such a check of this record has come to its end; `heir_of` is the
    vanished record whose link this one takes; `seek_s` says that the parent may be Zoho's own, and
    is looked for that long after it was looked for last.
    """

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
    checked: bool = False
    heir_of: Ref | None = None
    seek_s: float | None = None


UNKNOWN = {"unknown": True}
"""Stands for what a field holds in Zoho where nobody can tell: no wanted value equals it."""


def unequal(kind: Kind, done: Settlement, wanted: Payload, here: Any, there: Any) -> Settlement:
    """The end of an attempt after which Zoho has the record, with another total than the row's.

    It goes no further by itself. Of its fields only those that cannot change any more are taken
    for known, so that the mended row is sent as a whole, what it empties too, and its total
    compared again.
    """
    problem = Problem(
        ErrorClass.VALIDATION,
        f"the total is {here} here and {there} in Zoho: it was not opened; "
        "mend lines, tax or adjustment",
        field="total",
    )
    fixed = kind.locked.get("*", frozenset()) | kind.locked.get(
        done.remote_state or "", frozenset()
    )
    sent = {name: value for name, value in wanted.items() if value is not None}
    kept = {name: value if name in fixed else UNKNOWN for name, value in sent.items()}
    return replace(
        done, status=Status.FAILED, result="failed", due_in_s=None, payload=kept, problem=problem
    )


LOOK_AGAIN_S, LOOK_AGAIN_CAP_S = 60.0, 3_600.0
"""When a look-up that came to no end is made again, doubled each time up to an hour."""


def look_again_s(times: int) -> float:
    """Seconds until a look-up is made again that came to no end `times` times before.

    Each may read a whole list: one that never comes to its end must not eat up the day's calls.
    """
    return min(LOOK_AGAIN_CAP_S, LOOK_AGAIN_S * 2.0 ** min(times, 10))


@dataclass(frozen=True, slots=True)
class Scene:
    """What judging needs besides step and reply.

    `taken` names the record that each found Zoho id is already linked to; `promised` the records
    as whose child a reply named it, linked or not; `roll` is a number in [0, 1) for jitter; `down`
    says that the organisation is down, so attempts are given back.
    """

    now: datetime
    policy: Policy
    marker: str
    marker_field: str | None = None
    roll: float = 0.5
    down: bool = False
    taken: Mapping[str, Ref] = field(default_factory=dict)
    promised: Mapping[str, frozenset[Ref]] = field(default_factory=dict)


TAKEN = "taken"
"""The code of a failure because another record has the link."""


def linked_elsewhere(claim: Claim, zoho_id: str, other: Ref | None, step: str) -> Settlement:
    """The end of an attempt whose Zoho id is linked to another record already.

    Two that looked for theirs at once may have found the same one: the later looks again.
    """
    problem = Problem(
        ErrorClass.VALIDATION,
        f"{zoho_id} in Zoho is linked to {other or 'another record'} already: "
        f"{claim.ref} cannot have it too",
        code=TAKEN,
    )
    attempts = claim.attempts + 1
    if step == Purpose.LINK:
        soon_s = look_again_s(claim.attempts)
        return Settlement(Status.RETRYING, "retrying", soon_s, problem=problem, attempts=attempts)
    return Settlement(Status.FAILED, "failed", problem=problem, attempts=attempts)
