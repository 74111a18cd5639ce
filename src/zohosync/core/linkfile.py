"""A file in which a person says which record in Zoho is which row: read, and refused when wrong."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

COLUMNS = ("kind", "key", "label", "zoho_id", "candidates", "reason")
NEW = "new"
"""Stands in the place of a Zoho id: none of them is it, make it."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line that says something: `number` is its place in the file.

    `candidates` are what the file names, None where it has no such column.
    """

    number: int
    kind: str
    key: str
    zoho_id: str
    candidates: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class State:
    """What is known of one kind: its rows, with their links, what was seen in Zoho, and whose."""

    rows: Mapping[str, str | None]
    seen: frozenset[str]
    owners: Mapping[str, str]


@dataclass(slots=True)
class Said:
    """What the file says, by kind; nothing of it counts while there are `faults`."""

    links: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    fresh: dict[str, dict[str, tuple[str, ...] | None]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    faults: list[str] = field(default_factory=list)


def lines_of(rows: Iterable[Sequence[str]]) -> tuple[list[Line], list[str]]:
    """The lines of a CSV with a header, and what is wrong with its form. Blank ids say nothing."""
    lines: list[Line] = []
    header: list[str] | None = None
    for number, row in enumerate(rows, 1):
        if not any(cell.strip() for cell in row):
            continue
        if header is None:
            header = [cell.strip().lower().lstrip("\ufeff") for cell in row]
            lacking = [name for name in ("kind", "key", "zoho_id") if name not in header]
            if lacking:
                return [], [f"line {number}: there is no column {', '.join(lacking)}"]
            continue
        cells = {name: _plain(cell) for name, cell in zip(header, row, strict=False)}
        zoho_id = cells.get("zoho_id", "")
        if zoho_id:
            named = cells.get("candidates")
            candidates = None if named is None else tuple(named.split())
            lines.append(Line(number, cells["kind"], cells["key"], zoho_id, candidates))
    return lines, [] if header else ["the file is empty"]


def _plain(cell: str) -> str:
    """A cell without the quote that keeps a spreadsheet from taking it for a formula."""
    cell = cell.strip()
    return cell[1:] if cell[:1] == "'" and cell[1:2] in ("=", "+", "-", "@") else cell


def judged(lines: Sequence[Line], states: Mapping[str, State]) -> Said:
    """What the lines say, held against what is known; every fault is named with its line."""
    said = Said()
    keys = Counter((line.kind, line.key) for line in lines)
    ids = Counter((line.kind, line.zoho_id) for line in lines if line.zoho_id != NEW)
    for line in lines:
        fault = _fault(line, states.get(line.kind))
        if fault is None and keys[line.kind, line.key] > 1:
            fault = f"{line.kind} {line.key} stands there more than once"
        if fault is None and ids[line.kind, line.zoho_id] > 1:
            fault = f"{line.zoho_id} is given to more than one row"
        if fault is not None:
            said.faults.append(f"line {line.number}: {fault}")
        elif line.zoho_id == NEW:
            said.fresh[line.kind][line.key] = line.candidates
        elif states[line.kind].rows[line.key] != line.zoho_id:  # else it says what is so already
            said.links[line.kind][line.key] = line.zoho_id
    return said


def _fault(line: Line, state: State | None) -> str | None:
    if state is None:
        return f"there is no kind {line.kind!r} that was compared"
    if line.key not in state.rows:
        return f"there is no row {line.kind} {line.key!r}"
    linked = state.rows[line.key]
    if line.zoho_id == NEW:
        return f"{line.kind} {line.key} is linked to {linked} already" if linked else None
    if linked and linked != line.zoho_id:
        return f"{line.kind} {line.key} is linked to {linked} already"
    if line.zoho_id not in state.seen:
        return f"{line.zoho_id} was not seen among the {line.kind} of this organisation"
    owner = state.owners.get(line.zoho_id)
    if owner is not None and owner != line.key:
        return f"{line.zoho_id} is linked to {line.kind} {owner} already"
    return None
