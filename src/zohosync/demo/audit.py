"""Judges a finished run by the source rows and the ledger alone, never by our own books."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from zohosync.core.kinds import KINDS, MAPPED
from zohosync.core.mapping import marked
from zohosync.core.records import Desired, Ref, same

Row = Mapping[str, Any]

NOT_KEPT = frozenset({"create_backdated_invoice", "auto_collect"})
"""Fields that steer a request and that Zoho does not keep."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One field of one record that is not in Zoho as it is here."""

    ref: Ref
    field: str
    here: Any
    there: Any


@dataclass(slots=True)
class Audit:
    """What is in Zoho of what should be: remote rows by record, and every difference."""

    found: dict[Ref, Row] = field(default_factory=dict)
    absent: list[Ref] = field(default_factory=list)
    doubled: list[Ref] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)

    def in_zoho(self, kind: str) -> int:
        """How many records of a kind are there."""
        return sum(ref.kind == kind for ref in self.found)


def audit(
    wanted: Mapping[str, Sequence[Desired]],
    ledger: Mapping[str, Sequence[Row]],
    markers: Mapping[Ref, str],
) -> Audit:
    """Look every wanted record up in the ledger by its natural key and compare field by field.

    `wanted` are the eligible rows per kind, `ledger` the sandbox's records per kind.
    """
    result = Audit()
    for kind in MAPPED:
        rows = ledger.get(kind, ())
        keyed = _by_natural_key(kind, rows)
        for desired in wanted.get(kind, ()):
            matches = _matches(desired, keyed, rows, markers[desired.ref], result.found)
            if not matches:
                result.absent.append(desired.ref)
                continue
            if len(matches) > 1:
                result.doubled.append(desired.ref)
            result.found[desired.ref] = matches[0]
            result.differences += _differences(desired, matches[0], markers, result.found)
    return result


_NATURAL = {
    "products": "name",
    "plans": "plan_code",
    "subscriptions": "reference_id",
    "invoices": "invoice_number",
    "payments": "reference_number",
}


def _by_natural_key(kind: str, rows: Sequence[Row]) -> dict[str, list[Row]]:
    keyed: dict[str, list[Row]] = {}
    for row in rows:
        if kind == "customers":
            names = [line.strip() for line in str(row["notes"]).splitlines()]
        else:
            names = [str(row[_NATURAL[kind]])]
        for name in names:
            keyed.setdefault(name, []).append(row)
    return keyed


def _matches(
    desired: Desired,
    keyed: Mapping[str, list[Row]],
    rows: Sequence[Row],
    marker: str,
    found: Mapping[Ref, Row],
) -> list[Row]:
    kind = desired.ref.kind
    if desired.raised_by == "zoho":
        return [row for row in rows if _raised_by_zoho(desired, row, found)]
    if kind in ("customers", "subscriptions"):
        return keyed.get(marker, [])
    return keyed.get(str(desired.payload.get(_NATURAL[kind])), [])


def _raised_by_zoho(desired: Desired, row: Row, found: Mapping[Ref, Row]) -> bool:
    for slot in desired.slots:
        parent = found.get(slot.parent)
        id_field = KINDS[slot.parent.kind].id_field
        if slot.parent.kind in ("customers", "subscriptions") and (
            parent is None or row.get(id_field) != parent[id_field]
        ):
            return False
    apart = date.fromisoformat(str(row["date"])) - date.fromisoformat(str(desired.payload["date"]))
    return abs(apart) <= timedelta(days=1) and same(desired.total, row["total"])


def _differences(
    desired: Desired, row: Row, markers: Mapping[Ref, str], found: Mapping[Ref, Row]
) -> list[Difference]:
    kind = KINDS[desired.ref.kind]
    differences = []

    def compare(name: str, here: Any, there: Any) -> None:
        if not _alike(here, there):
            differences.append(Difference(desired.ref, name, here, there))

    state = row.get("status") if kind.states.remote else None
    compare("state", desired.state, kind.states.of(state))
    if desired.total is not None:
        compare("total", desired.total, row["total"])
    for slot in desired.slots:
        if slot.path and isinstance(slot.path[0], str) and len(slot.path) == 1:
            parent = found.get(slot.parent)
            if parent is not None:
                name = str(slot.path[0])
                compare(name, parent[KINDS[slot.parent.kind].id_field], row.get(name))
    if desired.raised_by == "zoho":
        return differences
    for name, here in desired.payload.items():
        if name in NOT_KEPT:
            continue
        if (
            name == kind.marker and not marked(row.get(name), markers[desired.ref])
        ) or name != kind.marker:
            compare(name, here, row.get(name))
    return differences


def _alike(here: Any, there: Any) -> bool:
    """Whether what is wanted is there: only named fields count, lists place by place."""
    match here:
        case Mapping():
            return isinstance(there, Mapping) and all(
                _alike(value, there.get(name)) for name, value in here.items()
            )
        case list():
            return (
                isinstance(there, Sequence)
                and len(here) == len(there)
                and all(_alike(*pair) for pair in zip(here, there, strict=True))
            )
        case _:
            return same(here, there)


CREATED = 201


def purpose_of(method: str, operation: str) -> str:
    """What a call was for, told from what the ledger says of it alone."""
    match method:
        case "POST":
            return "create" if operation.count("/") == 1 else "state change"
        case "PUT":
            return "update"
        case _:
            return "look-up of what Zoho raised" if operation == "GET /invoices" else "read"
