"""The brake: how many endings of a kind may leave in an hour, how many updates by one edit.

Theory of operation. An *ending* is a change of state that closes a record in Zoho (a cancel, a
void, an inactivation), whatever asked for it. Every call has its row in the journal before it
leaves, so the endings of the last hour are counted there, those under way included, while the
organisation's row is locked: of any number of workers none lets one more leave. A mapping edit is
judged earlier, before any of its updates leaves: all records are planned, and the updates counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from zohosync.core.kinds import KINDS
from zohosync.core.options import Option, choice, number, time_of_day
from zohosync.core.records import Ref

WINDOW_S = 3_600.0
"""How far back endings are counted."""

_MANY = number(0, 1_000_000, whole=True)
OPTIONS = (
    Option("brake.endings", _MANY, 20),
    Option("brake.updates", _MANY, 100),
    Option("sweep.at", time_of_day, "02:30"),
    Option("sweep.compare", choice("nightly", "never"), "nightly"),
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
