"""A month here beside the same month in Zoho: counts, sums, and what explains each difference."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from zohosync.core.kind import Kind
from zohosync.core.pairs import Row, label
from zohosync.core.records import Payload

SAMPLES = 3
"""Rows that an explanation names."""

NOT_COUNTED = frozenset({"void", "reversed"})
"""States in our words whose amounts nobody books, on either side."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A row, a record, or both as one: each side's amount, None where that side has none.

    `why` says what stands behind a side that lacks.
    """

    name: str
    currency: str
    here: Decimal | None
    there: Decimal | None
    why: str | None = None


@dataclass(slots=True)
class Explained:
    """What explains part of a difference: how many more here, and by how much."""

    why: str
    count: int = 0
    amount: Decimal = Decimal(0)
    names: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Line:
    """One kind and currency: both sides, and the explanations, which add up to the difference."""

    kind: str
    currency: str
    here: int = 0
    here_sum: Decimal = Decimal(0)
    there: int = 0
    there_sum: Decimal = Decimal(0)
    explained: list[Explained] = field(default_factory=list)

    @property
    def apart(self) -> tuple[int, Decimal]:
        """How many more there are here, and by how much."""
        return self.here - self.there, self.here_sum - self.there_sum


def lines_of(kind: str, entries: Iterable[Entry]) -> list[Line]:
    """The lines of a kind, by currency. Pure; the order of the entries changes nothing of a sum."""
    lines: dict[str, Line] = {}
    reasons: dict[tuple[str, str], Explained] = {}
    for entry in sorted(entries, key=lambda each: (each.currency, each.name)):
        line = lines.setdefault(entry.currency, Line(kind, entry.currency))
        here, there = entry.here, entry.there
        line.here += here is not None
        line.there += there is not None
        line.here_sum += here or Decimal(0)
        line.there_sum += there or Decimal(0)
        if here == there:
            continue
        why = entry.why or _why(here, there)
        reason = reasons.setdefault((entry.currency, why), Explained(why))
        reason.count += (here is not None) - (there is not None)
        reason.amount += (here or Decimal(0)) - (there or Decimal(0))
        if len(reason.names) < SAMPLES:
            reason.names.append(entry.name)
    found: dict[str, list[Explained]] = defaultdict(list)
    for (currency, _), reason in reasons.items():
        found[currency].append(reason)
    for currency, line in lines.items():
        line.explained = sorted(found[currency], key=lambda each: (-abs(each.amount), each.why))
    return [lines[currency] for currency in sorted(lines)]


def _why(here: Decimal | None, there: Decimal | None) -> str:
    if here is None:
        return "only in Zoho: no row here"
    if there is None:
        return "not in Zoho"
    return "another amount in Zoho"


def month_of(text: str) -> str | None:
    """A month as it is written (2026-10), None when it is none."""
    return text if re.fullmatch(r"(19|20|21)\d\d-(0[1-9]|1[0-2])", text) else None


def dated(kind: Kind, fields: Mapping[str, Any]) -> str:
    """The month of a row or a record, by its kind's first date; empty where it has none."""
    return str(next((fields[name] for name in kind.dates if fields.get(name)), ""))[:7]


def amount_of(kind: Kind, fields: Mapping[str, Any]) -> Decimal:
    """What a row or a record comes to; 0 for kinds that have no amount of their own."""
    name = next((each for each in ("total", "amount") if each in kind.money), None)
    try:
        return Decimal(str(fields[name])) if name and fields.get(name) is not None else Decimal(0)
    except ArithmeticError:
        return Decimal(0)


def counted(kind: Kind, state: str | None) -> bool:
    """Whether what is in that state is booked."""
    return (state or kind.states.initial) not in NOT_COUNTED


def entry_of(
    kind: Kind, row: Row, there: Payload | None, month: str, currency: str
) -> Entry | None:
    """A row with its record in Zoho, if it has one, as an entry of that month; None: not of it."""
    wanted = {**row.wanted, "total": row.desired.total}
    state = row.desired.state
    here = counted(kind, state) and row.desired.eligible and dated(kind, wanted) == month
    day = (dated(kind, there) if there else "") or dated(kind, wanted)  # lists tell not all dates
    beside = there is not None and _counted_there(kind, there) and day == month
    if not here and not beside:
        return None
    ours = amount_of(kind, wanted)
    if there is not None and kind.raises and row.desired.total is None:
        ours = amount_of(kind, there)  # the row names no total: Zoho reckons it
    own = (there or {}).get("currency_code") or row.wanted.get("currency_code") or currency
    return Entry(
        f"{row.desired.ref.key} {label(kind, wanted)}".strip(),
        str(own).upper(),
        ours if here else None,
        amount_of(kind, there) if beside and there is not None else None,
        _reason(row, there, here=here, beside=beside),
    )


def _reason(row: Row, there: Payload | None, *, here: bool, beside: bool) -> str | None:
    if here and beside:
        return None
    if here and there is not None:
        return f"in Zoho it is {there.get('status') or 'of another month'}"
    if beside:
        return "here it is of another month, not eligible, or ended"
    record = row.record
    if row.desired.faults:
        return f"its row is wrong: {row.desired.faults[0].message}"
    if record is None:
        return "not in Zoho yet: nothing has marked it"
    return f"{record.status}: {record.problem or 'not in Zoho yet'}"


def only_there(kind: Kind, there: Payload, month: str, currency: str) -> Entry | None:
    """A record that is no row's as an entry of that month; None: not of it."""
    if not _counted_there(kind, there) or dated(kind, there) != month:
        return None
    own = str(there.get("currency_code") or currency).upper()
    return Entry(label(kind, there), own, None, amount_of(kind, there))


def _counted_there(kind: Kind, there: Payload) -> bool:
    return counted(kind, kind.states.of(there.get("status")))
