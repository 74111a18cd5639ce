"""The steps: what may be done with a record, as values; decided before anything is sent."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, ClassVar

from zohosync.core.records import Payload, Problem, Ref


class Purpose(StrEnum):
    """Why a record is looked up in Zoho."""

    VERIFY = "verify"  # a write of ours may have happened
    LINK = "link"  # Zoho makes this record, we only find it
    CHECK = "check"  # Zoho said of a child that it is not there
    SEED = "seed"  # the mapping says which remote record it is


@dataclass(frozen=True, slots=True)
class Create:
    """Make the record in Zoho; `more` says that a change of state follows.

    `parents` are the records whose Zoho ids the payload names.
    """

    payload: Payload
    wanted: Payload
    total: Decimal | None
    more: bool
    parents: tuple[Ref, ...] = ()
    calls: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Update:
    """Change these fields of the record in Zoho; `wanted` is the whole payload afterwards."""

    zoho_id: str
    fields: Payload
    wanted: Payload
    total: Decimal | None
    more: bool
    calls: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Transition:
    """Move the record in Zoho to another state; `gone`: because its row is no longer there."""

    zoho_id: str
    operation: str
    state: str
    more: bool
    gone: bool = False
    calls: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Find:
    """Look the record up in Zoho: by id where it is known, else by its natural key.

    Of a record that Zoho makes, `hint` is the id that a parent's reply named, and `parents` are
    the records that its row names.
    """

    purpose: Purpose
    expected: Payload
    total: Decimal | None = None
    zoho_id: str | None = None
    hint: str | None = None
    state: str | None = None
    parents: tuple[Ref, ...] = ()
    calls: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Nothing:
    """The record is in step."""

    calls: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Skip:
    """The record is not ours to bring into step, for this reason."""

    reason: str
    gone: bool = False
    calls: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing can be done before that parent is there (or in a state of `needs`).

    `seek_s`: it may be Zoho's own, and is looked for there unless that was done so lately. `gone`:
    what waits has no row any more, and the `parent` may be its row under another key.
    """

    parent: Ref
    needs: frozenset[str]
    reason: str
    seek_s: float | None = None
    gone: bool = False
    calls: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Fail:
    """Nothing can be done before a person or a change of the row mends it.

    Or before `parent` is there, which is unknown; it is looked for again `seek_s` seconds after
    the last time.
    """

    problem: Problem
    parent: Ref | None = None
    seek_s: float | None = None
    calls: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Inherit:
    """The row had another key, `heir_of`, which is gone: its link and what is known of it."""

    heir_of: Ref
    zoho_id: str
    payload: Payload
    remote_state: str | None
    hints: Mapping[str, Any]
    calls: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Later:
    """Nothing can be done before something else is settled that may be this record.

    Or before it can be told whether its row, which is `gone`, has another key.
    """

    reason: str
    gone: bool = False
    calls: ClassVar[bool] = False


Step = Create | Update | Transition | Find | Nothing | Skip | Wait | Fail | Inherit | Later


def planned_operation(step: Step) -> str:
    """The word for a step in logs, dry runs and the journal."""
    match step:
        case Transition(operation=operation):
            return operation
        case Find(purpose=purpose):
            return str(purpose)
        case _:
            return type(step).__name__.lower()


def as_json(step: Step) -> dict[str, Any]:
    """A step as plain values, for `--json` and logs."""
    plain: dict[str, Any] = {"step": planned_operation(step)}
    for name in ("payload", "fields", "reason", "zoho_id"):
        if hasattr(step, name):
            plain[name] = getattr(step, name)
    if isinstance(step, Fail):
        plain["reason"] = step.problem.message
    return plain
