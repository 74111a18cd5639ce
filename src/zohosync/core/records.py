"""The nouns: what a record is, what is wanted of it, what is known of it, what was claimed."""

import hashlib
import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

Payload = dict[str, Any]
"""A body in Zoho's field names: str, bool, int, Decimal, None, dicts and lists of them."""

FINGERPRINT_VERSION = "1"

NO_FLOAT = "a float is not exact: cast it to numeric"

DIGITS_MAX = 28
"""Digits that a number may have: what Decimal reckons with exactly, and far beyond any price."""

LIVE, NORMAL, BULK, UPKEEP = 10, 5, 1, 0
"""Priorities, and the lanes that calls run in (the guide's 10 / 5 / 1, and ours for upkeep)."""

LANES = {LIVE: "live", NORMAL: "normal", BULK: "bulk", UPKEEP: "upkeep"}


def lane_of(priority: int) -> int:
    """The lane that a record of this priority calls in: the highest one at or below it."""
    return max(lane for lane in LANES if lane <= max(priority, UPKEEP))


class Status(StrEnum):
    """Where a record stands; the guide's words where it has one."""

    PENDING = "pending"
    SYNCING = "syncing"
    SYNCED = "synced"
    RETRYING = "retrying"
    FAILED = "failed"
    WAITING = "waiting"
    UNCERTAIN = "uncertain"
    SKIPPED = "skipped"


class ErrorClass(StrEnum):
    """The guide's seven classes of error."""

    RATE_LIMIT = "rate_limit"
    AUTHENTICATION = "authentication"
    VALIDATION = "validation"
    NOT_FOUND = "not_found"
    SERVER_ERROR = "server_error"
    NETWORK_ERROR = "network_error"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """The name of a record within its organisation."""

    kind: str
    key: str

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"

    @property
    def arguments(self) -> str:
        """Kind and key as a shell takes them."""
        return f"{self.kind} {shlex.quote(self.key)}"


@dataclass(frozen=True, slots=True)
class Problem:
    """Why an attempt did not bring its record into step."""

    error_class: ErrorClass
    message: str
    code: str | None = None
    field: str | None = None


@dataclass(frozen=True, slots=True)
class Slot:
    """A parent that a wanted record names, and where the parent's Zoho id goes in the payload."""

    parent: Ref
    path: tuple[str | int, ...]
    needs: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Desired:
    """What the mapping's SELECT says of a record now; parents' ids are not filled in yet."""

    ref: Ref
    payload: Payload = field(default_factory=dict)
    slots: tuple[Slot, ...] = ()
    state: str | None = None
    eligible: bool = True
    raised_by: str = "us"
    total: Decimal | None = None
    seed_id: str | None = None
    faults: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class ParentView:
    """What is known of a parent when its child is planned; `missing` = Zoho lost it.

    `unlisted` says why it is neither here nor in Zoho, as was found `looked_s` seconds ago, with
    the last of `looks` looks.
    """

    ref: Ref
    zoho_id: str | None = None
    remote_state: str | None = None
    status: Status = Status.PENDING
    hints: Mapping[str, Any] = field(default_factory=dict)
    missing: bool = False
    unlisted: str | None = None
    looked_s: float = 0.0
    looks: int = 0


@dataclass(frozen=True, slots=True)
class Intent:
    """A write that may have happened: the journal row of a call whose outcome is not known."""

    call_id: int
    operation: str
    payload: Payload
    deadline: datetime
    total: Decimal | None = None
    absent_at: datetime | None = None
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """A record under our lease, as it was when claimed (before its row was read).

    `rivals` are records in Zoho that it may be: while it is none of them for sure, none is made.
    `excluded` are the Zoho ids that a person said it is not; `identity` is who its row said it
    was when that was last read.
    """

    org_id: str
    ref: Ref
    version: int
    epoch: int
    priority: int
    claimed_at: datetime
    status: Status = Status.PENDING
    attempts: int = 0
    looks: int = 0
    zoho_id: str | None = None
    payload: Payload | None = None
    remote_state: str | None = None
    intent: Intent | None = None
    gone_identity: Payload | None = None
    check: bool = False
    hints: Mapping[str, Any] = field(default_factory=dict)
    rivals: tuple[str, ...] = ()
    excluded: frozenset[str] = frozenset()
    identity: Payload | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A remote record that a look-up returned, in the spellings that we write."""

    zoho_id: str
    fields: Payload


def canonical(value: Any) -> Any:
    """The one form of a value: dates as text, numbers as plain Decimals, keys in order.

    Raises TypeError for a value that no payload may hold (a float, bytes).
    """
    match value:
        case None | bool() | str():
            return value
        case int() | Decimal():
            return _plain(Decimal(value))
        case datetime():
            return value.isoformat()
        case date():
            return value.isoformat()
        case Mapping():
            return {str(name): canonical(value[name]) for name in sorted(value)}
        case list() | tuple():
            return [canonical(item) for item in value]
        case float():
            raise TypeError(NO_FLOAT)
        case _:
            raise TypeError(f"a {type(value).__name__} cannot be sent to Zoho")


def _plain(number: Decimal) -> Decimal:
    """A number without exponent, trailing zeros or a minus before zero."""
    if not number:
        return Decimal(0)
    sign, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int):
        raise TypeError(f"{number} is not a number that Zoho can hold")
    text = "".join(map(str, digits)).rstrip("0")
    exponent += len(digits) - len(text)
    if number.adjusted() >= DIGITS_MAX or len(text) > DIGITS_MAX or exponent < -DIGITS_MAX:
        raise TypeError(f"a number with over {DIGITS_MAX} digits cannot be sent to Zoho")
    text += "0" * exponent
    return Decimal((sign, tuple(map(int, text)), min(exponent, 0)))


def fingerprint(payload: Payload) -> str:
    """A digest of the canonical payload, with the version of the algorithm in front."""
    text = json.dumps(canonical(payload), default=str, sort_keys=True, ensure_ascii=False)
    return f"{FINGERPRINT_VERSION}:{hashlib.sha256(text.encode()).hexdigest()}"


def asked_of(desired: Desired) -> str:
    """A digest of all that a row asks for, before its parents' ids are put in."""
    asked = (
        desired.payload,
        [(slot.parent.kind, slot.parent.key, slot.path) for slot in desired.slots],
        (desired.state, desired.eligible, desired.raised_by, desired.seed_id, desired.total),
        [fault.message for fault in desired.faults],
    )
    text = json.dumps(asked, default=str, sort_keys=True)  # a row is read in one form: no canonical
    return f"{FINGERPRINT_VERSION}:{hashlib.sha256(text.encode()).hexdigest()}"


def same(left: Any, right: Any) -> bool:
    """Whether two values mean the same in Zoho: 50, "50.00" and Decimal("50.0") are equal.

    Nothing and empty text are equal, too: Zoho keeps no difference between them.
    """
    if left in (None, "") and right in (None, ""):
        return True
    if isinstance(left, bool) or isinstance(right, bool):
        return str(left).lower() == str(right).lower()
    numeric = (int, Decimal)
    if isinstance(left, numeric) or isinstance(right, numeric):
        try:
            return Decimal(str(left)) == Decimal(str(right))
        except ArithmeticError:
            return False
    try:
        return bool(canonical(left) == canonical(right))
    except TypeError:  # what no payload of ours can hold is nothing of ours
        return False


def differing(wanted: Payload, known: Payload | None) -> Payload:
    """The top-level fields of `wanted` that differ from `known`, with their wanted values."""
    known = known or {}
    return {name: value for name, value in wanted.items() if not same(value, known.get(name))}


def place(payload: Payload, path: tuple[str | int, ...], value: Any) -> None:
    """Put a value at a path in a payload of our own, making dicts on the way."""
    target: Any = payload
    for step in path[:-1]:
        target = target[step] if isinstance(step, int) else target.setdefault(step, {})
    target[path[-1]] = value


def at(payload: Any, path: tuple[str | int, ...]) -> Any:
    """The value at a path of a payload, None where there is none."""
    for part in path:
        try:
            payload = payload[part]
        except (KeyError, IndexError, TypeError):
            return None
    return payload


def without_nothing(payload: Payload) -> Payload:
    """The payload without empty fields: what a create sends."""
    return {name: _trimmed(value) for name, value in payload.items() if value is not None}


def _trimmed(value: Any) -> Any:
    match value:
        case Mapping():
            return without_nothing(dict(value))
        case list():
            return [_trimmed(item) for item in value]
        case _:
            return value


def first(problems: Iterable[Problem]) -> Problem | None:
    """The first problem, if there is one."""
    return next(iter(problems), None)
