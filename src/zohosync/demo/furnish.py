"""What the pretend Zoho of a rehearsal holds before it begins: taxes, items, what compare saw."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from zohosync.core.kinds import KINDS, MAPPED
from zohosync.sandbox import TAXES, Sandbox, Tax
from zohosync.store.source import Source

Row = Mapping[str, Any]

PARENTS = {
    "product_id": "products",
    "plan_code": "plans",
    "customer_id": "customers",
    "invoice_id": "invoices",
}
"""Which kind a field's Zoho id is of."""

STEERING = {"create_backdated_invoice": True, "auto_collect": False, "ignore_auto_number": True}
"""Sent along with what a person would have made on the day itself."""


@dataclass(slots=True)
class Needed:
    """What the mapping names and zohosync never makes: a person has set it up in Zoho."""

    taxes: set[str] = field(default_factory=set)
    skus: set[str] = field(default_factory=set)
    guessed: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Filled:
    """What was put there by hand: the id there of each Zoho id, and how many were refused."""

    ids: dict[tuple[str, str], str] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)


async def needed_of(source: Source) -> Needed:
    """The taxes and items that the mapped rows name."""
    needed = Needed()
    for kind in source.kinds:
        async with aclosing(source.all_rows(kind)) as found:
            async for rows in found:
                for row in rows:
                    for slot in source.as_desired(kind, row).slots:
                        _need(needed, slot.parent.kind, slot.parent.key)
    return needed


def _need(needed: Needed, kind: str, key: str) -> None:
    scheme, _, name = key.partition(":")
    if kind == "taxes":
        needed.taxes.add(key)
    elif kind == "items" and scheme == "sku":
        needed.skus.add(name)
    elif kind == "items" and name:
        needed.taxes.add(name)


def taxes_of(needed: Needed) -> tuple[Tax, ...]:
    """These taxes with their rates: the sandbox's own, else the number in the name, else 0."""
    known = {tax.name: tax for tax in TAXES}
    taxes = dict(known)
    for name in sorted(needed.taxes - set(known)):
        number = re.search(r"\d+(?:[.,]\d+)?", name)
        if number is None:
            needed.guessed.add(name)
        taxes[name] = Tax(name, number[0].replace(",", ".") if number else "0")
    return tuple(taxes.values())


def stock(sandbox: Sandbox, needed: Needed) -> None:
    """Put the items there that the mapping names by SKU."""
    for sku in sorted(needed.skus):
        sandbox.by_hand("POST", "/items", {"name": sku, "sku": sku, "rate": 0})


def fill(sandbox: Sandbox, seen: Mapping[str, Sequence[Row]]) -> Filled:
    """Put rows into the pretend Zoho as a person would have: per kind, as Zoho listed them.

    Each row has its `zoho_id`; what it names of other records is named by theirs. What the pretend
    Zoho refuses is counted, and left out.
    """
    filled = Filled()
    for kind in MAPPED:
        for row in seen.get(kind, ()):
            try:
                filled.ids[kind, str(row["zoho_id"])] = _put(sandbox, kind, row, filled)
            except ValueError:
                filled.refused[kind] += 1
    return filled


def _put(sandbox: Sandbox, kind: str, row: Row, filled: Filled) -> str:
    spec = KINDS[kind]
    body = {name: value for name, value in row.items() if value not in (None, "", "zoho_id")}
    for name, parent in PARENTS.items():
        if name in body and parent != kind:
            body[name] = filled.ids.get((parent, str(body[name])), body[name])
    if kind == "subscriptions" and "plan" not in body:
        body["plan"] = {"plan_code": body.pop("plan_code", "")}
    if kind == "invoices" and not body.get("invoice_items"):
        body["invoice_items"] = [
            {"name": "as listed", "price": body.get("total", 0), "quantity": 1}
        ]
    if kind == "payments":
        body["invoices"] = [
            {**use, "invoice_id": filled.ids.get(("invoices", str(use.get("invoice_id"))), "")}
            for use in body.get("invoices", ())
        ]
    made = sandbox.by_hand("POST", f"/{kind}", body | STEERING)
    zoho_id = str(made[spec.singular][spec.id_field])
    _bring_to_state(sandbox, kind, zoho_id, spec.states.of(row.get("status")))
    return zoho_id


def _bring_to_state(sandbox: Sandbox, kind: str, zoho_id: str, state: str) -> None:
    states = KINDS[kind].states
    here = states.initial
    while here != state and (move := states.next_move(here, state)) is not None:
        sandbox.by_hand("POST", f"/{kind}/{zoho_id}/{move[0]}")
        here = move[1]
