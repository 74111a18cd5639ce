"""From a row of the user's SELECT to what is wanted in Zoho, with every fault of the row named."""

import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from zohosync.core.kind import Kind, Reference
from zohosync.core.kinds import KINDS
from zohosync.core.records import (
    NO_FLOAT,
    Desired,
    ErrorClass,
    Payload,
    Problem,
    Ref,
    Slot,
    canonical,
    same,
)

OURS = frozenset({"key", "eligible", "state", "raised_by", "total", "zoho_id"})
"""Columns that every mapping may have and that are never sent."""

TEXT_LIMIT = 5_000
"""Characters that we send in one text field; longer ones are faults (assumed: docs/zoho.md)."""

DEPTH_LIMIT = 16
"""Levels of lists and objects that a column may have; Zoho's own have three."""

KEY_LIMIT = 200
"""Characters that a key may have."""

DATE_YEARS = (1900, 2200)
"""Years outside of which a date is taken for a slip."""

_TRUE = {"true", "t", "yes", "y", "1"}


def column_names(kind: Kind) -> frozenset[str]:
    """The top-level columns that a mapping of this kind may have."""
    references = {reference.column for reference in kind.references if not reference.within}
    ours = OURS if kind.raises else OURS - {"raised_by", "total"}
    return frozenset(kind.columns) | references | ours


def desired_of(
    kind: Kind, row: Mapping[str, Any], *, marker: str, marker_field: str | None
) -> Desired:
    """What the row asks for. Never raises: what is wrong with the row is in `faults`.

    `marker` is `zs:<installation>:<key>`; it goes in the kind's marker field or, for kinds that
    have custom fields and when `marker_field` names one, in that custom field.
    """
    faults: list[Problem] = []
    payload: Payload = {}
    for column, value in row.items():
        top = column.split(".", 1)[0]
        if top in kind.columns:
            _put(kind, payload, column, value, faults)
    slots = _slots(kind, row, payload, faults)
    state = str(row.get("state") or kind.states.initial)
    if state not in kind.states.names():
        names = ", ".join(sorted(kind.states.names()))
        faults.append(_invalid(f"state {state[:40]!r} is none of {names}", "state"))
    raised_by = str(row.get("raised_by") or "us") if kind.raises else "us"
    if raised_by not in ("us", "zoho"):
        fault = f"raised_by {raised_by[:40]!r} is neither us nor zoho"
        faults.append(_invalid(fault, "raised_by"))
    total = _decimal(row.get("total"), "total", faults) if kind.raises else None
    if raised_by == "zoho" and total is None:
        faults.append(_invalid("total is required to find what Zoho raised", "total"))
    faults.extend(
        _invalid(f"{name} is required and is empty", name)
        for name in (kind.near_required if raised_by == "zoho" else kind.required)
        if _missing(payload, name)
    )
    own_id = payload.get(kind.id_field)
    if isinstance(own_id, str) and _IN_PATHS.search(own_id):
        text = f"{kind.id_field} {own_id[:40]!r} has one of / \\ ? # %, which no address holds"
        faults.append(_invalid(text, kind.id_field))
    wrong = key_fault(row["key"])
    if wrong is not None:
        faults.insert(0, _invalid(wrong, "key"))
    _mark(kind, payload, marker, marker_field)
    payload.update(kind.constants)
    return Desired(
        ref=Ref(kind.name, str(row["key"])),
        payload=payload,
        slots=slots,
        state=state,
        eligible=_truth(row.get("eligible", True)),
        raised_by=raised_by,
        total=total,
        seed_id=str(row["zoho_id"]) if row.get("zoho_id") else None,
        faults=tuple(faults),
    )


def internal_desired(ref: Ref, installation: str) -> Desired:
    """What is wanted of a record that no mapping describes: a tax or an item of an invoice line.

    Taxes and items with a SKU are found, never made; `tax:<name>` is the one generic item that
    lines without a SKU use, made once.
    """
    if ref.kind == "taxes":
        return Desired(ref=ref, payload={"tax_name": ref.key}, raised_by="zoho", state="active")
    scheme, _, name = ref.key.partition(":")
    if scheme == "sku":
        return Desired(ref=ref, payload={"sku": name}, raised_by="zoho", state="active")
    label = f"zohosync {installation} {name or 'no tax'}"
    slots = (Slot(Ref("taxes", name), ("tax_id",)),) if name else ()
    return Desired(
        ref=ref, payload={"name": label, "rate": Decimal(0)}, slots=slots, state="active"
    )


def unreadable(ref: Ref, message: str) -> Desired:
    """What is wanted of a row that the database could not read."""
    return Desired(ref=ref, faults=(_invalid(f"its row cannot be read: {message}", None),))


def marked(text: Any, marker: str) -> bool:
    """Whether one line of the text is exactly the marker."""
    return isinstance(text, str) and any(line.strip() == marker for line in text.splitlines())


FORGOTTEN = "forgotten"
"""Stands for all that a row said of itself, in a record that was forgotten."""


def identity_of(desired: Desired) -> Payload:
    """Who the row says it is, beyond its key: tells a key that was given to somebody else."""
    kind = KINDS[desired.ref.kind]
    names = [name for group in kind.somebody for name in group]
    identity = {name: canonical(desired.payload.get(name)) for name in (*names, *kind.namesake)}
    for slot in desired.slots:
        place = ".".join(str(part) for part in slot.path)
        if place in kind.namesake:
            identity[place] = slot.parent.key
        if slot.path == ("customer_id",):
            identity["customer_key"] = slot.parent.key
    return identity


def somebody_else(kind: Kind, before: Payload, now: Payload) -> bool:
    """Whether a key that came back names another customer, invoice or payment than before (D2).

    Of one that was forgotten nobody can tell, so it does.
    """
    if before.get(FORGOTTEN):
        return True
    groups = (*kind.somebody, ("customer_key",))
    return any(
        all(name in before and not same(before[name], now.get(name)) for name in group)
        for group in groups
    )


_IN_PATHS = re.compile(r"[/\\?#%]")


def _put(kind: Kind, payload: Payload, column: str, value: Any, faults: list[Problem]) -> None:
    top, _, below = column.partition(".")
    if top == "custom_fields" and below:
        text = "" if value is None else _clean(str(value), column, faults)
        fields = payload.setdefault(top, [])
        if isinstance(fields, list):  # what is no list is named by _custom_fields
            fields.append({"label": below, "value": text})
        return
    if column in kind.money:
        value = _decimal(value, column, faults)
    elif column in kind.dates:
        value = _date(value, column, faults)
    value = _clean(value, column, faults)
    *above, last = column.split(".")
    target = payload
    for name in above:
        inner = target.setdefault(name, {})
        if inner is None:
            inner = target[name] = {}
        if not isinstance(inner, dict):
            faults.append(_invalid(f"{name} is a value of its own: it cannot hold {column}", top))
            return
        target = inner
    if isinstance(target.get(last), dict) and value is None:
        return  # its parts are columns of their own
    if top == "custom_fields":
        value = _custom_fields(value, payload.get(top), faults)
    target[last] = value


def _custom_fields(value: Any, others: Any, faults: list[Problem]) -> list[Any]:
    """The custom fields of a jsonb column, and those that are columns of their own."""
    if value is None:
        value = []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        faults.append(_invalid("custom_fields is not a list of objects", "custom_fields"))
        value = []
    return [*value, *(others or [])]


def _clean(value: Any, column: str, faults: list[Problem], depth: int = 0) -> Any:
    if depth > DEPTH_LIMIT:
        faults.append(_invalid(f"it is nested deeper than {DEPTH_LIMIT} levels", column[:40]))
        return None
    match value:
        case str():
            if len(value) > TEXT_LIMIT:
                faults.append(
                    _invalid(f"{column} has {len(value)} characters, over {TEXT_LIMIT}", column)
                )
                return value[:40]
            return _text(value).strip()
        case Mapping():
            return {
                _text(str(name)): _clean(item, f"{column}.{name}", faults, depth + 1)
                for name, item in value.items()
            }
        case list() | tuple():
            return [_clean(item, column, faults, depth + 1) for item in value]
    try:
        return canonical(value)
    except TypeError as error:
        faults.append(_invalid(f"{column}: {error}", column))
        return None


def _text(text: str) -> str:
    """Text that JSON and Postgres can hold: no NUL, no half of a surrogate pair."""
    text = text.replace("\x00", "")
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _slots(
    kind: Kind, row: Mapping[str, Any], payload: Payload, faults: list[Problem]
) -> tuple[Slot, ...]:
    slots: list[Slot] = []
    for reference in kind.references:
        if reference.within is None:
            path: tuple[str | int, ...] = ()
            if reference.sent:
                path = tuple(reference.field.split("."))
            _slot(reference, row.get(reference.column), row, path, slots, faults)
            continue
        items = payload.get(reference.within)
        if items is None:
            continue
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            fault = f"{reference.within} is not a list of objects"
            faults.append(_invalid(fault, reference.within))
            payload[reference.within] = None
            continue
        for position, item in enumerate(items):
            path = (str(reference.within), position, *reference.field.split("."))
            _slot(reference, item.get(reference.column), item, path, slots, faults)
    for reference in kind.references:
        for item in payload.get(reference.within or "") or ():
            item.pop(reference.column, None)
    return tuple(slots)


def _slot(  # noqa: PLR0917
    reference: Reference,
    value: Any,
    row: Mapping[str, Any],
    path: tuple[str | int, ...],
    slots: list[Slot],
    faults: list[Problem],
) -> None:
    if value not in (None, ""):
        parent = Ref(reference.kind, f"{reference.prefix}{value}")
    elif reference.fallback is not None:
        other = row.get(reference.fallback)
        parent = Ref(reference.kind, f"{reference.fallback_prefix}{other or ''}")
    else:
        if reference.required:
            place_ = f" of an item of {reference.within}" if reference.within else ""
            faults.append(
                _invalid(
                    f"{reference.column}{place_} is empty: it names no {reference.kind} record",
                    reference.column,
                )
            )
        return
    wrong = key_fault(parent.key)
    if wrong is not None:
        faults.append(_invalid(f"{reference.column}: {wrong}", reference.column))
        return
    slots.append(Slot(parent, path, reference.needs))


def _mark(kind: Kind, payload: Payload, marker: str, marker_field: str | None) -> None:
    if kind.marker is None:
        return
    if marker_field and "custom_fields" in kind.columns and not kind.marker_is_whole:
        fields = payload.setdefault("custom_fields", [])
        fields[:] = [field for field in fields if field.get("label") != marker_field]
        fields.append({"label": marker_field, "value": marker})
        return
    text = payload.get(kind.marker)
    if kind.marker_is_whole or text in (None, ""):
        payload[kind.marker] = marker
        return
    # A marker that came along with the text (copied from Zoho) would claim somebody else's record.
    scheme = ":".join(marker.split(":")[:2]) + ":"
    lines = [line for line in str(text).splitlines() if not line.strip().startswith(scheme)]
    payload[kind.marker] = "\n".join([*lines, marker])


def _missing(payload: Payload, name: str) -> bool:
    value: Any = payload
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value in (None, "", [])


def _decimal(value: Any, column: str, faults: list[Problem]) -> Decimal | None:
    if value is None:
        return None
    try:
        if isinstance(value, float):
            raise TypeError(NO_FLOAT)
        number = canonical(Decimal(str(value).strip()))
        assert isinstance(number, Decimal)
    except (InvalidOperation, ValueError, TypeError) as error:
        more = f": {error}" if isinstance(error, TypeError) else ""
        fault = f"{column} {str(value)[:40]!r} is not an amount of money{more}"
        faults.append(_invalid(fault, column))
        return None
    if number < 0 and column != "adjustment":
        faults.append(_invalid(f"{column} {number} is below zero", column))
    return number


def _date(value: Any, column: str, faults: list[Problem]) -> str | None:
    if value is None:
        return None
    try:
        match value:
            case datetime():
                day = value.date()
            case date():
                day = value
            case _:
                text = str(value).strip()
                day = date.fromisoformat(text[:10])
                if text[10:11] not in ("", "T", " "):
                    raise ValueError
    except ValueError:
        faults.append(_invalid(f"{column} {str(value)[:40]!r} is not a date", column))
        return None
    if not DATE_YEARS[0] <= day.year <= DATE_YEARS[1]:
        faults.append(_invalid(f"{column} {day} is out of range", column))
    return day.isoformat()


def _truth(value: Any) -> bool:
    return value.strip().lower() in _TRUE if isinstance(value, str) else bool(value)


def _invalid(message: str, column: str | None) -> Problem:
    return Problem(ErrorClass.VALIDATION, message, field=column)


def key_fault(key: Any) -> str | None:
    """Why a key cannot be used, or None.

    The key is a line of the marker in Zoho, so it has to come back as it was sent.
    """
    if key is None:
        return "key is NULL"
    text = str(key)
    if not 0 < len(text) <= KEY_LIMIT:
        return f"key is empty or over {KEY_LIMIT} characters"
    if text != text.strip() or text.splitlines() != [text] or text != _text(text):
        return f"key {text[:40]!r} has spaces around it or more than one line"
    return None


def is_mapped(name: str) -> bool:
    """Whether a mapping may describe the kind of that name."""
    return name in KINDS and not KINDS[name].internal
