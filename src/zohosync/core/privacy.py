"""What is told of people: which values no log keeps, and when a record may be forgotten."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from zohosync.core.kinds import KINDS
from zohosync.core.plan import RAISED, Policy, plan
from zohosync.core.records import Claim, Payload, Ref, Status
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
from zohosync.core.settling import Refusal
from zohosync.core.steps import Create, Step, Transition, Update

REDACTED = "[redacted]"
"""Stands for a value that was there and is not kept."""

TOO_SHORT = 3
"""Values of fewer characters are not looked for in messages: they would be found anywhere."""

_TOLD = ("status", "total", "balance")


def redacted(payload: Any, names: Collection[str]) -> Any:
    """The payload with each value of these fields as REDACTED; what is empty stays so.

    A name stands for its field wherever it is, letter case aside; `billing_address.city` for a
    part only; a custom field goes by its label.
    """
    hidden = frozenset(name.lower() for name in names)
    return _redacted(payload, hidden, "") if hidden else payload


def _redacted(value: Any, hidden: frozenset[str], path: str) -> Any:
    match value:
        case Mapping():
            label = str(value.get("label", "")).lower()
            return {
                name: REDACTED
                if inner not in (None, "", [], {})
                and (_is_named(name, path, hidden) or (name == "value" and label in hidden))
                else _redacted(inner, hidden, f"{path}{name}.")
                for name, inner in value.items()
            }
        case list() | tuple():
            return [_redacted(item, hidden, path) for item in value]
        case _:
            return value


def _is_named(name: str, path: str, hidden: frozenset[str]) -> bool:
    return name.lower() in hidden or f"{path}{name}".lower() in hidden


def hushed(message: str | None, values: Collection[str]) -> str | None:
    """A message without these values."""
    for text in sorted(values, key=len, reverse=True):
        message = message.replace(text, REDACTED) if message else message
    return message


def _values(value: Any, hidden: frozenset[str], path: str, *, named: bool) -> Iterator[str]:
    """Every text under a field that is hidden."""
    match value:
        case Mapping():
            label = str(value.get("label", "")).lower()
            for name, inner in value.items():
                under = named or _is_named(name, path, hidden) or label in hidden
                yield from _values(inner, hidden, f"{path}{name}.", named=under)
        case list() | tuple():
            for item in value:
                yield from _values(item, hidden, path, named=named)
        case str() if named:
            yield value


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a log keeps of an attempt, redacted; `closed` is its write once that is settled.

    `values` are what no message may say.
    """

    request: Payload | None = None
    response: Payload | None = None
    closed: Payload | None = None
    values: frozenset[str] = frozenset()


def evidence(step: Step, reply: Reply | None, claim: Claim, names: Collection[str]) -> Evidence:
    """What of an attempt may be kept. Pure.

    While a write is in doubt, its intent stays whole: it is what the write is found again by.
    """
    request, sent = _request(step), _journaled(step)
    if claim.intent is not None:
        sent = claim.intent.payload
    hidden = frozenset(name.lower() for name in names)
    found = _values([request, sent, claim.payload], hidden, "", named=False)
    values = frozenset(text for text in found if len(text) >= TOO_SHORT)
    response = None if reply is None else _response(reply, request or {})
    if response and "message" in response:
        response["message"] = hushed(response["message"], values)
    return Evidence(
        redacted(request, names), redacted(response, names), redacted(sent, names), values
    )


def _request(step: Step) -> Payload | None:
    """The body of a write."""
    match step:
        case Create(payload=payload):
            return payload
        case Update(fields=fields):
            return fields
        case Transition(state=state):
            return {"state": state}
        case _:
            return None


def _journaled(step: Step) -> Payload | None:
    """What the journal keeps of a write as its intent."""
    match step:
        case Create(wanted=wanted):
            return wanted
        case Update(fields=fields):
            return fields
        case _:
            return None


def _response(reply: Reply, request: Payload) -> Payload:
    """What Zoho answered: of a record that which was sent, and how it stands."""
    match reply:
        case Accepted(zoho_id=zoho_id, fields=fields):
            shown = {name: fields[name] for name in (*request, *_TOLD) if name in fields}
            return {"zoho_id": zoho_id, **shown}
        case Found(candidates=candidates, complete=complete):
            return {"found": [each.zoho_id for each in candidates], "complete": complete}
        case Rejected(status=status, code=code, message=message):
            return {"status": status, "code": code, "message": message}
        case Throttled(code=code, message=message) | Unauthorized(code=code, message=message):
            return {"code": code, "message": message}
        case Unavailable(status=status, message=message):
            return {"status": status, "message": message}
        case Unreachable(sent=sent, message=message):
            return {"sent": sent, "message": message}
        case Unusable(message=message):
            return {"message": message}
        case Closed(reason=reason):
            return {"closed": reason}


def forbids(ref: Ref, claim: Claim | None, policy: Policy, *, row: bool) -> Refusal | None:
    """Why a record may not be forgotten now, or None; `row`: it is there in the user's table. Pure.

    What its kind still wants done in Zoho because its row is gone is done first: nobody would
    know of it afterwards.
    """
    if row:
        return Refusal(
            f"The row of {ref} is in your table: its next change would bring it all back",
            "take the row out first (or what it tells of the person), then say it again",
        )
    if claim is None:
        return None
    step = plan(None, claim, {}, policy)
    if isinstance(step, Transition) and claim.status is Status.WAITING:
        return Refusal(
            f"{ref} is still to be ended in Zoho, and another row says the same of itself",
            f"`zohosync why {ref.arguments}` names that row: mend it or take it out first, too",
        )
    if isinstance(step, Transition):
        return Refusal(
            f"{ref} is still to be ended in Zoho ({step.operation}), since its row is gone",
            "let a worker do that (`zohosync run --until-idle`), then say it again",
        )
    return None


def hints_kept(kind: str) -> tuple[str, ...]:
    """The hints of a record that outlive its being forgotten: ids, and who raised it."""
    return (*KINDS[kind].hints, RAISED)


def tells_of_itself(kind: str) -> bool:
    """Whether its rows have a number or a name of their own, by which one is known again."""
    return bool(KINDS[kind].unique)


def children_of(kind: str) -> tuple[str, ...]:
    """The kinds whose rows name a parent of this kind."""
    return tuple(
        name
        for name, other in KINDS.items()
        if not other.internal and any(each.kind == kind for each in other.references)
    )
