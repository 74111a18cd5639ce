"""Judges requests and replies against the contract's facts, its own slips excepted by name."""

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Exemption:
    """One slip of the contract: where it is (patterns), what holds instead, and why."""

    operation: str
    side: str
    field: str
    holds: str
    reason: str

    def covers(self, operation: str, side: str, field: str, holds: str) -> bool:
        """Whether this slip is about that field of that side of that operation."""
        return (
            self.side == side
            and self.holds == holds
            and fnmatchcase(operation, self.operation)
            and fnmatchcase(field, self.field)
        )


@cache
def operations() -> dict[str, Any]:
    """The facts, by operation ("POST /customers")."""
    told: dict[str, Any] = json.loads((HERE / "zoho_contract.json").read_text("utf-8"))
    return told


@cache
def exemptions() -> tuple[Exemption, ...]:
    """What exceptions.toml lists."""
    told = tomllib.loads((HERE / "exceptions.toml").read_text("utf-8"))
    return tuple(Exemption(**entry) for entry in told["exception"])


def operation_of(method: str, path: str) -> str:
    """The contract's name for a call: ("GET", "/plans/x") is "GET /plans/{plan_code}"."""
    parts = path.strip("/").split("/")
    for name in operations():
        known_method, known_path = name.split(" ")
        known = known_path.strip("/").split("/")
        if known_method == method and len(known) == len(parts):
            pairs = zip(known, parts, strict=True)
            if all(want[0] == "{" or want == part for want, part in pairs):
                return name
    raise LookupError(f"the contract has no {method} {path}")


def request_faults(operation: str, body: Any, query: Mapping[str, str]) -> list[str]:
    """What is wrong with a request: required, unknown or wrongly typed fields and parameters."""
    facts = operations()[operation]
    faults = [
        f"unknown parameter {name}"
        for name in query
        if name not in facts.get("query", ()) and not _excepted(operation, "query", name, "extra")
    ]
    if "request" not in facts:
        return faults + ([] if not body else ["no body is expected"])
    if not isinstance(body, Mapping):
        return [*faults, "the body is not an object"]
    faults += [
        f"{name} is required"
        for name in facts.get("required", ())
        if _missing(body, name) and not _excepted(operation, "request", name, "optional")
    ]
    return faults + list(_typed(operation, "request", facts["request"], body, ""))


def reply_faults(operation: str, status: int, body: Any) -> list[str]:
    """What is wrong with a reply: its envelope, unknown or wrongly typed fields."""
    if not isinstance(body, Mapping):
        return ["the reply is not an object"]
    faults = []
    code, message = body.get("code"), body.get("message")
    if not isinstance(code, int) or isinstance(code, bool) or not isinstance(message, str):
        faults.append("the envelope lacks code or message")
    if status >= 400:
        return faults if code != 0 and set(body) == {"code", "message"} else [*faults, "no error"]
    shapes = operations()[operation]["reply"]
    if str(status) not in shapes:
        return [*faults, f"status {status} is not one of {sorted(shapes)}"]
    return faults + list(_typed(operation, "reply", shapes[str(status)], body, ""))


def _excepted(operation: str, side: str, field: str, holds: str) -> bool:
    return any(slip.covers(operation, side, field, holds) for slip in exemptions())


def _missing(body: Mapping[str, Any], name: str) -> bool:
    """Whether a required field is not there; inside of what is absent nothing is required."""
    head, _, rest = name.partition(".")
    inner = body.get(head)
    if not rest:
        return inner is None
    rows = inner if isinstance(inner, list) else [inner]
    return any(_missing(row, rest) for row in rows if isinstance(row, Mapping))


def _typed(operation: str, side: str, shape: Any, value: Any, path: str) -> Iterator[str]:
    if value is None or shape == "any" or _excepted(operation, side, path, "any"):
        return
    number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
    if isinstance(shape, dict):
        if not isinstance(value, Mapping):
            yield f"{path} is not an object"
            return
        for name, inner in value.items():
            where = f"{path}.{name}" if path else name
            if name in shape:
                yield from _typed(operation, side, shape[name], inner, where)
            elif not _excepted(operation, side, where, "extra"):
                yield f"{where} is unknown"
    elif isinstance(shape, list):
        if not isinstance(value, list):
            yield f"{path} is not a list"
            return
        for inner in value:
            yield from _typed(operation, side, shape[0], inner, path)
    elif shape == "i" and _excepted(operation, side, path, "number"):
        if not number:
            yield f"{path} is not a number"
    elif not {
        "s": isinstance(value, str),
        "b": isinstance(value, bool),
        "n": number,
        "i": isinstance(value, int) and not isinstance(value, bool),
    }[shape]:
        yield f"{path} is {value!r} where the contract has {shape!r}"
