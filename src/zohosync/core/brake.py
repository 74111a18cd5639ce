"""The brake: how many endings of a kind may leave, and what a mass change would do, foreseen.

Theory of operation. An *ending* is a change of state that closes a record in Zoho (a cancel, a
void, an inactivation), whatever asked for it. Every call has its row in the journal before it
leaves, so the endings of the last hour are counted there, those under way included, while the
organisation's row is locked: of any number of workers none lets one more leave. A mapping edit is
judged earlier, before any of its updates leaves: all records are planned, and the updates counted.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from zohosync.core.kinds import KINDS, Kind
from zohosync.core.options import Option, number, time_of_day
from zohosync.core.plan import Step, Transition, Update, planned_operation
from zohosync.core.records import Claim, Desired, Payload, Ref

WINDOW_S = 3_600.0
"""How far back endings are counted."""

_MANY = number(0, 1_000_000, whole=True)
OPTIONS = (
    Option("brake.endings", _MANY, 20),
    Option("brake.updates", _MANY, 100),
    Option("sweep.at", time_of_day, "02:30"),
)
"""The settings of the brake and of the sweep."""


@dataclass(frozen=True, slots=True)
class Brake:
    """How many `endings` of a kind an hour, and how many `updates` by one edit of its mapping."""

    endings: int = 20
    updates: int = 100


def is_ending(operation: str) -> bool:
    """Whether a call of this name (`kind.operation`) closes a record."""
    kind, _, word = operation.partition(".")
    states = KINDS[kind].states if kind in KINDS else None
    return states is not None and any(
        move == word and reached in states.closing for (_, reached), move in states.moves.items()
    )


@dataclass(frozen=True, slots=True)
class Closing:
    """A call that would end a record, and what the books say of it as it asks for leave.

    `lately` counts the records of its kind that were ended within the window; `counted`: it is one
    of them, and this is the same ending once more; `let_through`: a person saw it listed and
    agreed, and it has not been done since; `paused`: nothing of its kind is worked on.
    """

    place: int
    ref: Ref
    lately: int
    counted: bool = False
    let_through: bool = False
    paused: bool = False


def stopped(closings: Sequence[Closing], brake: Brake) -> tuple[int, ...]:
    """The places of those that may not leave, of endings that would leave together."""
    leaving: dict[str, set[Ref]] = {}
    places: list[int] = []
    for closing in closings:
        fresh = leaving.setdefault(closing.ref.kind, set())
        free = closing.counted or closing.let_through or closing.ref in fresh
        if closing.paused or (not free and closing.lately + len(fresh) >= brake.endings):
            places.append(closing.place)
        elif not closing.counted:
            fresh.add(closing.ref)
    return tuple(places)


def too_many_endings(kind: str, brake: Brake) -> str:
    """Why a kind was paused by its endings, in words."""
    verbs = " or ".join(sorted(KINDS[kind].states.when_gone)) or "end"
    return (
        f"{kind}: over {brake.endings} within an hour would {verbs} a record; nothing more is sent "
        f"until somebody has looked: zohosync resume {kind}"
    )


def too_many_updates(kind: str, changes: int, brake: Brake) -> str | None:
    """Why a changed mapping pauses its kind, in words; None when it may go on."""
    if changes <= brake.updates:
        return None
    return (
        f"{kind}: its changed mapping would change {changes} records, over {brake.updates}; "
        f"none is sent until somebody has looked: zohosync resume {kind}"
    )


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What would happen to a record that is in Zoho: `ends` says that it would be closed."""

    ref: Ref
    zoho_id: str
    what: str
    ends: bool
    worth: Decimal | None = None
    fields: tuple[str, ...] = ()


def foresee(
    desired: Desired | None, claim: Claim, step: Step, target: str | None
) -> Foreseen | None:
    """What this step, and those that follow from it, would change in Zoho of a linked record.

    `target` is the state that a record of its kind is moved to when its row is gone.
    """
    if not isinstance(step, Update | Transition):
        return None
    kind = KINDS[claim.ref.kind]
    here = claim.remote_state or kind.states.initial
    left = desired is None or not desired.eligible
    there = target if left else desired.state if desired else None
    ends = there in kind.states.closing and here != there
    fields = tuple(sorted(step.fields)) if isinstance(step, Update) else ()
    return Foreseen(
        claim.ref,
        step.zoho_id,
        f"becomes {there}" if ends else planned_operation(step),
        ends,
        worth_of(kind, claim.payload or {}, desired.total if desired else None),
        fields,
    )


def worth_of(kind: Kind, payload: Payload, total: Decimal | None = None) -> Decimal | None:
    """What a record comes to: the total that its row says, else by its fields; None: not known."""
    if total is not None or not kind.worth:
        return total
    first = kind.worth[0].partition(".")[0]
    if first != kind.lines:
        return _product(payload, kind.worth)
    lines = payload.get(first)
    if not isinstance(lines, list) or not lines:
        return None
    inner = [name.partition(".")[2] for name in kind.worth]
    parts = [_product(line, inner) for line in lines]
    known = [part for part in parts if part is not None]
    return sum(known, Decimal(0)) if len(known) == len(parts) else None


def _product(fields: Any, names: Iterable[str]) -> Decimal | None:
    product = Decimal(1)
    for name in names:
        value = fields
        for part in name.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        try:
            product *= Decimal(str(value))
        except ArithmeticError:
            return None
    return product


@dataclass(slots=True)
class Survey:
    """What a whole mapping says, beside what was last done: how many rows, and what differs.

    `marks` are the keys to mark; `changes` what would happen to records that are in Zoho.
    """

    kind: str
    rows: int = 0
    marks: list[str] = field(default_factory=list)
    changes: list[Foreseen] = field(default_factory=list)
    found: Counter[str] = field(default_factory=Counter)

    @property
    def endings(self) -> list[Foreseen]:
        """The records that would be closed."""
        return [change for change in self.changes if change.ends]

    @property
    def words(self) -> str:
        """The survey in one line."""
        found = ", ".join(f"{number:,} {what}" for what, number in sorted(self.found.items()))
        return f"{self.kind}: {self.rows:,} rows, {found or 'nothing differs'}"


def sum_of(changes: Iterable[Foreseen]) -> Decimal | None:
    """The money of all whose worth is known; None where none is."""
    known = [change.worth for change in changes if change.worth is not None]
    return sum(known, Decimal(0)) if known else None
