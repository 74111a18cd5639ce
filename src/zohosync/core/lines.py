"""The lines of a record: a PUT replaces them all, so each goes with the id that Zoho gave it."""

from collections.abc import Mapping
from typing import Any

from zohosync.core.kind import Kind
from zohosync.core.records import Payload

LINE_IDS = "line_ids"
"""The hint that keeps the ids of a record's lines, in their order."""


def line_ids(kind: Kind, fields: Payload) -> list[str | None]:
    """The ids of the lines that a reply shows, in their order; none where it shows no lines."""
    lines = fields.get(kind.lines or "")
    if not isinstance(lines, list) or not all(isinstance(line, Mapping) for line in lines):
        return []
    return [line.get(kind.line_id) for line in lines]


def with_line_ids(kind: Kind, lines: Any, hints: Mapping[str, Any]) -> Any:
    """The lines with the ids that Zoho gave to those in their places: a PUT replaces the list."""
    if not isinstance(lines, list):
        return lines
    known = [*(hints.get(LINE_IDS) or ()), *[None] * len(lines)]
    return [
        {**line, kind.line_id: line_id} if line_id else line
        for line, line_id in zip(lines, known, strict=False)
    ]


def without_line_ids(kind: Kind, fields: Payload) -> Payload:
    """What was sent, as it is wanted: the ids of lines are Zoho's and stand in no payload."""
    lines = fields.get(kind.lines or "")
    if kind.lines is None or not isinstance(lines, list):
        return fields
    bare = [{name: line[name] for name in line if name != kind.line_id} for line in lines]
    return {**fields, kind.lines: bare}


KEPT = "kept"
"""The hint of a record that was linked, not made: the fields of `always` as Zoho has them.

A PUT has to name them all. What did not change here is said again as it is there.
"""

KEPT_STATE = "kept_state"
"""The hint of a record that was linked in another state than its row's: [there, here], as it was.

It is not moved before its row says something else.
"""

_PARTS = (
    "name", "description", "product_id", "code", "price", "quantity", "tax_id", "tags", "plan_code",
)  # fmt: skip


def kept_of(kind: Kind, fields: Payload) -> Payload:
    """The fields of `always` of a record that was read, with what a PUT has to say of each."""
    return {name: _kept(kind, fields.get(name)) for name in kind.always}


def _kept(kind: Kind, value: Any) -> Any:
    if isinstance(value, list):
        return [_kept(kind, item) for item in value if isinstance(item, Mapping)]
    if isinstance(value, Mapping):
        names = (kind.line_id, *_PARTS)
        return {name: value[name] for name in names if value.get(name) not in (None, "")}
    return value


def plain_kept(kept: Mapping[str, Any]) -> Payload:
    """What of it may be said again without a new look: not what consists of parts."""
    return {name: value for name, value in kept.items() if not isinstance(value, list | Mapping)}
