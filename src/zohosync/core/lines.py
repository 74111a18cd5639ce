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


SEEN_LINES = "lines"
"""The hint that keeps the lines of a record that we did not make, as Zoho has them."""

_KEPT = ("name", "description", "product_id", "code", "price", "quantity", "tax_id", "tags")


def seen_lines(kind: Kind, fields: Payload) -> list[Payload]:
    """The lines of a record that was read, with what a PUT has to say so that they stay."""
    lines = fields.get(kind.lines or "")
    if not isinstance(lines, list) or not all(isinstance(line, Mapping) for line in lines):
        return []
    names = (kind.line_id, *_KEPT)
    return [
        {name: line[name] for name in names if line.get(name) not in (None, "")} for line in lines
    ]
