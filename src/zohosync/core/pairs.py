"""A row and its record as a verdict keeps them: what differs, what is equal, what a link takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from zohosync.core.compare import BLIND, Here, Sort, There, Verdict, agree, borne_out, name_of
from zohosync.core.covered import Share
from zohosync.core.kind import Kind
from zohosync.core.kinds import KINDS
from zohosync.core.lines import KEPT, KEPT_STATE, plain_kept
from zohosync.core.mapping import identity_of
from zohosync.core.plan import RAISED
from zohosync.core.records import (
    Desired,
    Payload,
    asked_of,
    at,
    canonical,
    fingerprint,
    place,
    same,
)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a row's record before its row is read; `busy`: nobody else may touch it."""

    version: int
    status: str
    zoho_id: str | None
    payload: Payload | None
    accepted: Payload
    on_its_way: bool
    busy: bool
    problem: str | None = None
    excluded: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Row:
    """A row with its parents' ids in `wanted`, and its record.

    `parents` are records in Zoho that its parents may be, which nobody has settled yet.
    """

    desired: Desired
    wanted: Payload
    record: Known | None
    parents: tuple[str, ...] = ()


def differences(
    kind: Kind, wanted: Payload, state: str | None, seen: Payload
) -> dict[str, tuple[Any, Any]]:
    """The fields that a row and its record differ in, with both values, here first.

    Only what the list shows is compared; `seen` of a list says less than the record itself. The
    marker is ours alone, and no difference; nor are letter case and spaces of what rows are found
    by. `state` is compared in our words.
    """
    found: dict[str, tuple[Any, Any]] = {}
    keys = {name for group in kind.match for name in group}
    for name, here in wanted.items():
        if name in seen and name not in (kind.marker, kind.lines):
            found.update(_differences(name, here, seen[name]))
    for name in keys & found.keys():
        if name_of(wanted, (name,)) == name_of(seen, (name,)):
            del found[name]
    if state is not None and seen.get("status"):
        there = kind.states.of(seen["status"])
        if there != state:
            found["state"] = (state, there)
    return found


def _differences(name: str, here: Any, there: Any) -> dict[str, tuple[Any, Any]]:
    if isinstance(here, Mapping) and isinstance(there, Mapping):
        return {
            path: pair
            for part, value in here.items()
            if part in there
            for path, pair in _differences(f"{name}.{part}", value, there[part]).items()
        }
    return {} if same(here, there) else {name: (here, there)}


def compared(kind: Kind, wanted: Payload, seen: Payload) -> list[str]:
    """The fields that `differences` looks at."""
    return [name for name in wanted if name in seen and name not in (kind.marker, kind.lines)]


def news(
    differing: Mapping[str, tuple[Any, Any]],
    *,
    accepted: Mapping[str, Any],
    wanted: Payload,
    baseline: Payload | None,
) -> dict[str, tuple[Any, Any]]:
    """Those differences that nobody has accepted: with a link a person takes what is there then.

    One that was accepted is news again when either side has changed since.
    """
    return {
        name: pair
        for name, pair in differing.items()
        if not (
            name in accepted
            and same(accepted[name], pair[1])
            and same((baseline or {}).get(_top(name)), wanted.get(_top(name)))
        )
    }


def _top(path: str) -> str:
    return path.partition(".")[0]


def known_of(row: Row) -> Payload:
    """The payload without what a parent is still to say, whose own id is not known (a tax)."""
    open_ = {slot.path[0] for slot in row.desired.slots if len(slot.path) == 1}
    return {
        name: value for name, value in row.wanted.items() if value is not None or name not in open_
    }


def linked_row(row: Row, zoho_id: str, there: Payload, now: datetime) -> dict[str, Any]:
    """What a record keeps when its row is linked to a record in Zoho that was seen as `there`."""
    kind, record = KINDS[row.desired.ref.kind], row.record
    baseline = _bare(row)
    apart = differences(kind, known_of(row), None, there)
    equal = [name for name in compared(kind, known_of(row), there) if name not in apart]
    state, here = row.desired.state, kind.states.of(there.get("status"))
    kept = {name: there[name] for name in kind.always if name in there}
    hints: dict[str, Any] = {KEPT: plain_kept(kept)}
    if state is not None and state != here:
        hints[KEPT_STATE] = [here, state]
    if kind.raises and row.desired.raised_by == "zoho":
        hints[RAISED] = True
    return {
        "key": row.desired.ref.key,
        "zoho_id": zoho_id,
        "version": record.version
        if record
        else 0,  # who is first to mark it is not taken for known
        "payload": baseline,
        "fingerprint": fingerprint(baseline),
        "remote_state": here,
        "identity": identity_of(row.desired),
        "asked": asked_of(row.desired),
        "hints": hints,
        "accepted": {name: pair[1] for name, pair in apart.items()},
        "proof": dict.fromkeys(equal, now.isoformat()),
    }


def _bare(row: Row) -> Payload:
    """The payload, its lists without their parents' ids (taxes, items): they were never ours."""
    tops = {str(slot.path[0]) for slot in row.desired.slots if len(slot.path) > 1}
    lists = {top for top in tops if isinstance(row.desired.payload.get(top), list)}
    return {**row.wanted, **{top: row.desired.payload[top] for top in lists}}


def stands(here: Here, there: There, *, by_hand: bool) -> bool:
    """Whether a row and a record that were found to be one are so still, as the link is made.

    What made it sure must be so now: its `zoho_id`, where some name bears it out; else a name that
    is enough. What only resembles it says nothing, unless it is only to be found. A person's word
    (`by_hand`) stands where nothing says that they are two; and whoever said that it is not this
    one meanwhile is believed.
    """
    if by_hand:
        return agree(here, there)
    if there.zoho_id in here.excluded:
        return False
    if here.seed == there.zoho_id:
        return borne_out(here, there)
    ours = (*here.names, *(here.likes if here.found_only else ()))
    theirs = (*there.names, *(there.likes if here.found_only else ()))
    named = any(one is not None and one == other for one, other in zip(ours, theirs, strict=True))
    settled = None not in here.agree[:1]  # whose it is here
    return named and settled and agree(here, there)


def row_verdict(kind: Kind, row: Row, verdict: Verdict, there: Payload | None) -> dict[str, Any]:
    """A row's verdict as the columns that it is kept in; `there` as Zoho's list shows it."""
    told = plain(verdict)
    told["label"] = label(kind, {**row.wanted, "total": row.desired.total})
    told["linked"] = told["linked"] or bool(row.record and row.record.zoho_id and told["zoho_id"])
    if not row.desired.eligible and not told["linked"]:
        told.update(sure=False, reason=f"{told['reason'] or told['sort']}; its row is not eligible")
    if row.desired.faults and not told["linked"]:
        told.update(sure=False, reason=f"its row is wrong: {row.desired.faults[0].message}")
    if there is not None:
        differ(kind, row, told, there)
    return told


def differ(kind: Kind, row: Row, told: dict[str, Any], there: Payload) -> None:
    """Put what differs, and what is equal, into a row's verdict."""
    record = row.record
    told["remote_state"] = kind.states.of(there.get("status"))
    if told["linked"] and record is not None and record.on_its_way:
        told["reason"] = told["reason"] or f"a change is on its way ({record.status})"
        return
    # What Zoho raised is only found: of its fields none is ever sent.
    sent = {} if row.desired.raised_by == "zoho" else known_of(row)
    differing = differences(kind, sent, row.desired.state, there)
    total = row.desired.total
    if total is not None and "total" in there and not same(total, there["total"]):
        differing["total"] = (total, there["total"])
    told["equal_fields"] = [
        name for name in compared(kind, row.wanted, there)
        if not any(each.partition(".")[0] == name for each in differing)
    ]  # fmt: skip
    if told["linked"] and record is not None:
        fresh = news(
            differing, accepted=record.accepted, wanted=row.wanted, baseline=record.payload
        )
        if len(fresh) < len(differing) and not fresh:
            told["reason"] = f"{len(differing)} fields differ since it was linked, as accepted"
    else:
        fresh = differing
    told["differences"] = {
        name: [_shown(value) for value in pair] for name, pair in differing.items()
    }
    if fresh and told["sort"] != Sort.DOUBLE:
        told["sort"] = str(Sort.DIFFERS)


def _shown(value: Any) -> Any:
    try:
        return canonical(value)
    except TypeError:
        return str(value)


def plain(verdict: Verdict, reason: str | None = None) -> dict[str, Any]:
    """A verdict as the columns that it is kept in."""
    linked = verdict.sort is Sort.LINKED or (
        verdict.zoho_id is not None
        and verdict.key is not None
        and verdict.sort in (Sort.ONLY_HERE, Sort.DIFFERS)
    )
    return {
        "key": verdict.key,
        "zoho_id": verdict.zoho_id,
        "sort": str(verdict.sort),
        "linked": linked or (reason is not None and verdict.zoho_id is not None),
        "sure": verdict.zoho_id is not None and verdict.key is not None,
        "candidates": list(verdict.candidates),
        "reason": verdict.reason or reason,
        "differences": {},
        "equal_fields": [],
        "remote_state": None,
        "label": None,
    }


def held(row: Mapping[str, Any]) -> str:
    """Why nothing is made for a row that is not linked and may be in Zoho."""
    what = f"it is {row['zoho_id']} in Zoho" if row["zoho_id"] else "it may be in Zoho already"
    return f"{what}: {row['reason'] or row['sort']}"


def label(kind: Kind, fields: Mapping[str, Any]) -> str:
    """How people know a row or a record."""
    told = (at(fields, tuple(name.split("."))) for name in kind.told_by)
    return " ".join(str(value) for value in told if value not in (None, ""))


def named(
    fields: Payload, by_name: Mapping[str, tuple[str, str]], ids: Mapping[str, Mapping[Any, str]]
) -> Payload:
    """A listed record, with the ids of what its list tells by name."""
    for path, (other, told) in by_name.items():
        zoho_id = ids.get(other, {}).get(name_of(fields, (told,)))
        if name_of(fields, (path,)) is not None:
            continue
        if zoho_id is None:
            fields[BLIND] = True
        else:
            place(fields, tuple(path.split(".")), zoho_id)
    return fields


def shares(
    wanted: Payload, at: tuple[str | int, ...], share: str, desired: Desired
) -> tuple[Share, ...]:
    """What a row takes of the records that its list of them names."""
    parents = {slot.path: slot.parent for slot in desired.slots}
    found = []
    for position, item in enumerate(wanted.get(str(at[0])) or ()):
        path = (at[0], position, *at[2:])
        amount = item.get(share)
        if path in parents and amount is not None:
            zoho_id = item.get(str(at[-1]))
            found.append(Share(str(parents[path]), zoho_id, Decimal(str(amount))))
    return tuple(found)
