"""What must hold between the company's rows and the sandbox's books, whoever carried the data."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from zohosync.core.kinds import KINDS, MAPPED
from zohosync.core.mapping import internal_desired
from zohosync.core.plan import resolve
from zohosync.core.records import Desired, ParentView, Ref, same

Row = Mapping[str, Any]

CARRIED = {"customers": "notes", "subscriptions": "reference_id", "payments": "description"}
"""Where a record of ours carries its marker, besides in a custom field."""

NATURAL = {
    "products": "name",
    "plans": "plan_code",
    "items": "name",
    "subscriptions": "reference_id",
    "invoices": "invoice_number",
    "payments": "reference_number",
}
"""What stands once in Zoho, for each kind whose records a person could tell apart by it."""

NOT_KEPT = frozenset({"create_backdated_invoice", "add_to_unbilled_charges"})
"""Fields that steer a request and that Zoho does not keep."""


@dataclass(slots=True)
class Books:
    """Both sides: the rows of the mappings here, the ledger's records there, and who said what.

    `links` are our own records (`zohosync.records`): used to know which keys there ever were,
    and for what Zoho raises by itself; never to learn what is in Zoho. `touched` says what
    people did by hand; what begins with "create" or "made" is theirs. `intents` are natural keys
    of writes that may still be under way.
    """

    wanted: Mapping[Ref, Desired]
    rows: Mapping[Ref, Row]
    remote: Mapping[str, Sequence[Row]]
    taxes: Mapping[str, str]
    links: Mapping[Ref, Row]
    marker: Callable[[Ref], str]
    excuse: Callable[[str, str], str | None]
    touched: Mapping[tuple[str, str], str]
    intents: frozenset[tuple[str, str]] = frozenset()
    forgotten: frozenset[Ref] = frozenset()
    found: dict[Ref, Row] = field(default_factory=dict)
    by_id: dict[tuple[str, str], Row] = field(default_factory=dict)
    _named: dict[tuple[str, str], list[Row]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Index the ledger, and look every wanted row up in it."""
        for kind, rows in self.remote.items():
            for row in rows:
                zoho_id = str(row[KINDS[kind].id_field])
                self.by_id[kind, zoho_id] = row
                if self.by_hand(kind, zoho_id):
                    continue
                for name in names_of(kind, row):
                    self._named.setdefault((kind, name), []).append(row)
        for ref, desired in self.wanted.items():
            there = self._look_up(ref, desired)
            if there is not None:
                self.found[ref] = there

    def id_of(self, ref: Ref) -> str | None:
        """The Zoho id of a row that is in Zoho, or of a tax or item that one names."""
        if ref.kind == "taxes":
            return self.taxes.get(ref.key)
        if ref.kind == "items":
            scheme, _, sku = ref.key.partition(":")
            if scheme == "sku":
                ids = [row["item_id"] for row in self.remote["items"] if row["sku"] == sku]
            else:
                label = internal_desired(ref, self.marker(ref).split(":")[1]).payload["name"]
                ids = [row["item_id"] for row in self._named.get(("items", label), ())]
            return str(ids[0]) if ids else None
        found = self.found.get(ref)
        return None if found is None else str(found[KINDS[ref.kind].id_field])

    def by_hand(self, kind: str, zoho_id: str) -> bool:
        """Whether people made that record in Zoho, or said that it is none of ours any more."""
        return self.touched.get((kind, zoho_id), "").startswith(("create", "made", "set aside"))

    def named(self) -> Iterator[tuple[str, str, list[Row]]]:
        """Each kind and marker or natural key with the records that carry it, hand-made apart."""
        for (kind, name), rows in self._named.items():
            yield kind, name, rows

    def is_touched(self, ref: Ref) -> bool:
        """Whether people had their hands on that record in Zoho."""
        linked = (self.links.get(ref) or {}).get("zoho_id")
        return any((ref.kind, str(each)) in self.touched for each in (self.id_of(ref), linked))

    def _look_up(self, ref: Ref, desired: Desired) -> Row | None:
        linked = (self.links.get(ref) or {}).get("zoho_id")
        if desired.raised_by == "zoho":
            return self.by_id.get((ref.kind, str(linked)))
        if ref.kind in CARRIED:
            name = self.marker(ref)
        else:
            name = str(desired.payload.get(NATURAL[ref.kind]))
        rows = self._named.get((ref.kind, name))
        if rows:
            return rows[0]
        made = self.by_id.get((ref.kind, str(linked)))
        return made if made is not None and name in names_of(ref.kind, made) else None


def names_of(kind: str, row: Row) -> set[str]:
    """The markers and the natural key that a remote record carries; at most one record may."""
    names = set(markers_of(kind, row))
    if kind in NATURAL and row[NATURAL[kind]]:
        names.add(str(row[NATURAL[kind]]))
    return names


def markers_of(kind: str, row: Row) -> list[str]:
    """Our markers on a remote record, a line or a custom field each."""
    if kind not in CARRIED:
        return []
    lines = [line.strip() for line in str(row.get(CARRIED[kind]) or "").splitlines()]
    lines += [str(entry["value"]) for entry in row.get("custom_fields") or ()]
    return [line for line in dict.fromkeys(lines) if line.startswith("zs:")]


def doubles(books: Books) -> Iterator[str]:
    """Two remote records for one local one: by marker, number, reference, code or name."""
    for kind, name, rows in books.named():
        if len(rows) > 1:
            ids = ", ".join(sorted(str(row[KINDS[kind].id_field]) for row in rows))
            yield f"{kind} {name} is in Zoho {len(rows)} times: {ids}"


def strangers(books: Books) -> Iterator[str]:
    """What is in Zoho and was neither made by people or Zoho nor ever named by a row here."""
    linked = {(ref.kind, str(row["zoho_id"])) for ref, row in books.links.items()}
    wanted = {
        (ref.kind, str(each.payload.get(NATURAL[ref.kind])))
        for ref, each in books.wanted.items()
        if ref.kind in NATURAL
    }
    for (kind, zoho_id), row in books.by_id.items():
        if (kind, zoho_id) in books.touched or (kind, zoho_id) in linked:
            continue
        if kind in CARRIED:
            keys = [line.split(":", 2)[-1] for line in markers_of(kind, row)]
            refs = [Ref(kind, key) for key in keys]
            known = any((ref in books.links or ref in books.forgotten)
                        and books.marker(ref) in names_of(kind, row)
                        for ref in refs)  # fmt: skip
        else:
            name = (kind, str(row[NATURAL[kind]]))
            known = bool(row.get("subscription_id")) or name in wanted or name in books.intents
        if not known:
            names = ", ".join(sorted(names_of(kind, row))) or "without a name"
            yield f"{kind} {zoho_id} ({names}) is in Zoho, and no row here ever named it"


def in_step(books: Books) -> Iterator[str]:
    """Every eligible row that nobody excuses is in Zoho as its mapping says, to the cent.

    A row whose parent is excused, absent, touched or not as it has to be may be behind or absent;
    so may one that ended before it was ever there.
    """
    fit: set[Ref] = set()
    for ref, desired in books.wanted.items():
        if not desired.eligible or books.is_touched(ref) or books.excuse(ref.kind, ref.key):
            continue
        row, kind = books.found.get(ref), KINDS[ref.kind]
        ended = desired.state in kind.states.ended
        if row is not None:
            fit.add(ref)
        ready = all(_ready(books, desired, place, fit) for place in range(len(desired.slots)))
        if row is None:
            if ready and not ended and not _awaited(books, ref, desired):
                yield f"{ref} is not in Zoho: {_said(books, ref)}"
            continue
        if ready or ended:
            for name, here, there in _differences(books, desired, row):
                stands = "" if _status(books, ref) == "synced" else f": {_said(books, ref)}"
                yield f"{ref}: {name} is {_shown(here)} here and {_shown(there)} in Zoho{stands}"


def _ready(books: Books, desired: Desired, place: int, fit: set[Ref]) -> bool:
    """Whether the row can rely on a parent: there, in order, and in a state that it needs."""
    slot = desired.slots[place]
    parent = slot.parent
    if KINDS[parent.kind].internal:
        scheme, _, tax = parent.key.partition(":")
        made_by_us = scheme == "tax" and (not tax or tax in books.taxes)
        return made_by_us or books.id_of(parent) is not None
    if len(slot.path) > 1 and desired.raised_by == "zoho":
        return True
    if parent not in fit:
        return False
    state = KINDS[parent.kind].states.of(books.found[parent].get("status"))
    return not slot.needs or state in slot.needs


def _awaited(books: Books, ref: Ref, desired: Desired) -> bool:
    """Whether Zoho is still to raise it, and we shall look again."""
    record = books.links.get(ref) or {}
    waits = record.get("status") == "waiting" and record.get("due_at") is not None
    return desired.raised_by == "zoho" and waits


def _status(books: Books, ref: Ref) -> str | None:
    return (books.links.get(ref) or {}).get("status")


def _said(books: Books, ref: Ref) -> str:
    record = books.links.get(ref)
    if record is None:
        return "no record of it was ever made"
    return f"{record['status']} ({record['error_message'] or 'no message'})"


def _differences(books: Books, desired: Desired, row: Row) -> Iterator[tuple[str, Any, Any]]:
    ref, kind = desired.ref, KINDS[desired.ref.kind]
    linked, there_id = (books.links.get(ref) or {}).get("zoho_id"), row[kind.id_field]
    if str(linked) != str(there_id):
        yield "the link", linked, there_id
    if kind.states.remote:
        there = kind.states.of(row["status"])
        if desired.state != there:
            yield "state", desired.state, row["status"]
    if desired.state in kind.states.ended:
        return
    if desired.total is not None and not same(desired.total, row["total"]):
        yield "total", desired.total, row["total"]
    ids = {slot.parent: books.id_of(slot.parent) for slot in desired.slots}
    if desired.raised_by == "zoho":
        yield from _raised(desired, row, ids)
        return
    views = {parent: ParentView(parent, zoho_id) for parent, zoho_id in ids.items()}
    for name, here in resolve(desired, views).items():
        if name not in NOT_KEPT and not _held(books, name, here, row.get(name)):
            yield name, here, row.get(name)


def _raised(
    desired: Desired, row: Row, ids: Mapping[Ref, str | None]
) -> Iterator[tuple[str, Any, Any]]:
    """What must be right of a record that Zoho raised and that we only linked."""
    for slot in desired.slots:
        id_field = KINDS[slot.parent.kind].id_field
        if len(slot.path) <= 1 and not same(ids[slot.parent], row.get(id_field)):
            yield id_field, ids[slot.parent], row.get(id_field)
    here, there = str(desired.payload.get("date")), str(row["date"])
    if abs(date.fromisoformat(here) - date.fromisoformat(there)) > timedelta(days=1):
        yield "date", here, there


def _held(books: Books, name: str, here: Any, there: Any) -> bool:
    """Whether a field of a record is there as wanted; what a void invoice was paid is gone."""
    if name == "custom_fields":
        values = {entry["label"]: entry["value"] for entry in there or ()}
        return all(same(entry["value"], values.get(entry["label"])) for entry in here or ())
    if name == "invoices":
        return _parts(books, here) == _parts(books, there)
    return alike(here, there)


def _parts(books: Books, uses: Any) -> dict[str, Decimal]:
    parts: dict[str, Decimal] = {}
    for use in uses or ():
        zoho_id = str(use.get("invoice_id"))
        if books.by_id.get(("invoices", zoho_id), {}).get("status") != "void":
            _add(parts, zoho_id, use["amount_applied"])
    return parts


def _add(sums: dict[str, Decimal], name: str, amount: Any) -> None:
    sums[name] = sums.get(name, Decimal(0)) + Decimal(str(amount))


def alike(here: Any, there: Any) -> bool:
    """Whether what is wanted is there: only named fields count, lists place by place."""
    match here:
        case Mapping():
            return isinstance(there, Mapping) and all(
                alike(value, there.get(name)) for name, value in here.items()
            )
        case list():
            return (
                isinstance(there, Sequence)
                and len(here) == len(there)
                and all(alike(*pair) for pair in zip(here, there, strict=True))
            )
        case _:
            return same(here, there)


def _shown(value: Any) -> str:
    match value:
        case Mapping():
            return "{" + ", ".join(f"{k}: {_shown(value[k])}" for k in sorted(value)) + "}"
        case list():
            return "[" + ", ".join(_shown(each) for each in value) + "]"
        case _:
            return str(value)


def money(books: Books) -> Iterator[str]:
    """What was paid, told without the comparison of records: by Zoho's invoices and plain rows."""
    invoices = {str(row["invoice_id"]): row for row in books.remote["invoices"]}
    applied: dict[str, Decimal] = dict.fromkeys(invoices, Decimal(0))
    for payment in books.remote["payments"]:
        name = f"payment {payment['reference_number'] or payment['payment_id']}"
        spent = Decimal(0)
        for use in payment["invoices"]:
            invoice, amount = invoices.get(str(use["invoice_id"])), Decimal(use["amount_applied"])
            spent += amount
            if invoice is None:
                yield f"{name} is applied to an invoice that is not there: {use['invoice_id']}"
                continue
            applied[str(use["invoice_id"])] += amount
            if invoice["customer_id"] != payment["customer_id"]:
                yield f"{name} is applied to another customer's invoice {invoice['invoice_number']}"
        if spent > payment["amount"]:
            yield f"{name} of {payment['amount']} is applied for {spent}"
    for zoho_id, invoice in invoices.items():
        paid = sum((Decimal(each["amount"]) for each in invoice["payments"]), Decimal(0))
        for what, sum_ in (("its payments", applied[zoho_id]), ("it says", paid)):
            if sum_ > max(Decimal(0), invoice["total"]):
                yield (
                    f"invoice {invoice['invoice_number']} of {invoice['total']} is paid with "
                    f"{sum_} ({what})"
                )
    yield from _receipts(books)


def _receipts(books: Books) -> Iterator[str]:
    """Each receipt here arrived at most once, with exactly its own parts."""
    for ref, row in books.rows.items():
        if ref.kind != MAPPED[-1] or row.get("eligible") is False:
            continue
        theirs = [
            payment
            for payment in books.remote[ref.kind]
            if not books.by_hand(ref.kind, str(payment["payment_id"]))
            and (
                books.marker(ref) in str(payment["description"]).splitlines()
                or payment["reference_number"] == row.get("reference_number")
            )
        ]
        came = sum((payment["amount"] for payment in theirs), Decimal(0))
        if len(theirs) > 1:
            yield f"{ref} of {row['amount']} arrived {len(theirs)} times, {came} in all"
        if len(theirs) != 1 or books.is_touched(ref) or books.excuse(ref.kind, ref.key):
            continue
        if row.get("state", "paid") in KINDS[ref.kind].states.ended:
            continue
        if not same(row["amount"], came):
            yield f"{ref}: {row['amount']} here came as {came}"
        here = _owed_parts(books, row)
        paid: dict[str, Decimal] = {}
        for use in theirs[0]["invoices"]:
            bill = books.by_id.get(("invoices", str(use["invoice_id"])), {})
            _add(paid, str(bill.get("invoice_number")), use["amount_applied"])
        if here is not None and here != paid:
            yield f"{ref} pays {_shown(here)} here and {_shown(paid)} in Zoho"


def _owed_parts(books: Books, row: Row) -> dict[str, Decimal] | None:
    """What a receipt here pays, by invoice number; a void invoice keeps nothing of it.

    None where an invoice that it names is gone here.
    """
    void = {each["invoice_number"] for each in books.remote["invoices"] if each["status"] == "void"}
    parts: dict[str, Decimal] = {}
    for part in row["invoices"] or ():
        bill = Ref("invoices", str(part["invoice_key"]))
        if bill not in books.rows:
            return None
        number = books.rows[bill].get("invoice_number")
        if books.rows[bill].get("raised_by") == "zoho":
            number = books.found.get(bill, {}).get("invoice_number")
        if number not in void:
            _add(parts, str(number), part["amount_applied"])
    return parts
