"""What a planned step would change, field by field: what was accepted last, and what would be."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from zohosync.core.kinds import KINDS
from zohosync.core.money import moves_of
from zohosync.core.records import Claim, Desired, Payload, differing, same
from zohosync.core.settlement import UNKNOWN
from zohosync.core.steps import (
    Create,
    Fail,
    Find,
    Nothing,
    Skip,
    Step,
    Update,
    Wait,
    planned_operation,
)


@dataclass(frozen=True, slots=True)
class Change:
    """One field of a record: as Zoho has it as far as we know, and as the step would make it.

    A step that sends nothing has its `reason` as the only one.
    """

    field: str
    before: Any
    after: Any


def is_told(step: Step) -> bool:
    """Whether a complete list holds the step: all but what is in step already."""
    return not isinstance(step, Nothing)


def is_shown(step: Step) -> bool:
    """Whether a step belongs on a screen: it does something, or cannot."""
    return not isinstance(step, Nothing | Skip)


def word_of(step: Step) -> str:
    """The step's word, as counts of steps have it."""
    return planned_operation(step)


def changes_of(step: Step, desired: Desired, claim: Claim) -> Iterator[Change]:
    """Every field that the step changes, changes of state that follow it included."""
    kind = KINDS[desired.ref.kind]
    match step:
        case Create(payload=payload):
            first = [name.split(".")[0] for name in kind.required]
            named = {name: payload[name] for name in [*first, *payload] if name in payload}
            for field, value in leaves(named):
                yield Change(field, None, value)
        case Update(wanted=wanted):
            before = claim.payload or {}
            yield from _differences(differing(wanted, before), before)
        case Find(purpose=purpose, zoho_id=zoho_id):
            yield Change("zoho_id", zoho_id, None if zoho_id else f"to be found ({purpose})")
        case Wait(reason=reason) | Skip(reason=reason):
            yield Change("reason", None, reason)
        case Fail(problem=problem):
            yield Change("reason", None, problem.message)
        case _:
            pass
    moves = moves_of(kind, step, claim, desired.state)
    if moves:
        here = (claim.remote_state or kind.states.initial) if claim.zoho_id else None
        yield Change("state", here, moves[-1][1])


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The values of a payload with their dotted paths; items of lists by their places."""
    match value:
        case Mapping() if value:
            for name, inner in value.items():
                yield from leaves(inner, f"{path}.{name}" if path else str(name))
        case list() if value and all(isinstance(item, Mapping) for item in value):
            for place, item in enumerate(value):
                yield from leaves(item, f"{path}[{place}]")
        case _:
            yield path, value


def _differences(changes: Payload, before: Payload) -> Iterator[Change]:
    unknown = [name for name in changes if before.get(name) == UNKNOWN]
    old = dict(leaves({name: before.get(name) for name in changes if name not in unknown}))
    old |= {name: "(not known)" for name in unknown if changes[name] is None}
    new = dict(leaves(changes))
    for field in dict.fromkeys([*new, *old]):
        if not same(old.get(field), new.get(field)):
            yield Change(field, old.get(field), new.get(field))
