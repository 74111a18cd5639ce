"""What the pretend Zoho remembers: indexed shelves, how bodies are read, and its customers."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from zohosync.clock import Clock

from .limits import Ledger, RefusalError, Row

CENT = Decimal("0.01")
NOTHING = Decimal("0.00")
LONGEST = {"display_name": 200, "email": 100, "name": 200, "invoice_number": 100, "sku": 100}
LONGEST_TEXT = 5000
ADDRESS = "attention street city state zip country state_code fax"
CUSTOMER_TEXTS = (
    "first_name last_name salutation company_name phone mobile website department designation "
    "skype facebook twitter notes payment_terms_label gst_no gst_treatment place_of_contact "
    "tax_treatment tax_reg_no tax_regime tds_tax_id"
)


@dataclass(frozen=True, slots=True)
class Call:
    """One request as the rules see it."""

    ids: tuple[str, ...]
    query: Mapping[str, str]
    body: Row
    by_hand: bool = False
    hide_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Reply:
    """An accepted request: HTTP status, what stands beside code and message, the id concerned."""

    status: int
    payload: Row
    zoho_id: str | None = None
    message: str = "success"


@dataclass(frozen=True, slots=True)
class Listing:
    """A list before paging: rows newest first, and how one is shown."""

    name: str
    rows: Iterable[Row]
    show: Callable[[Row], Row]


@dataclass(frozen=True, slots=True)
class Tax:
    """A tax set up in the organisation, percentage as Zoho writes it ("15")."""

    name: str
    percentage: str


class Shelf:
    """All records of one kind by id, with the indexes that lists and rules look through."""

    def __init__(self, id_field: str, *indexed: str) -> None:
        self.id_field = id_field
        self.rows: dict[str, Row] = {}
        self._index: dict[str, dict[str, dict[str, Row]]] = {name: {} for name in indexed}

    def add(self, row: Row) -> Row:
        """Put a new record on the shelf."""
        self.rows[row[self.id_field]] = row
        for name in self._index:
            self._slot(name, row)[row[self.id_field]] = row
        return row

    def change(self, row: Row, fields: Row) -> None:
        """Change a record, its indexes with it; the id stays."""
        moved = [name for name in self._index if name in fields and fields[name] != row.get(name)]
        for name in moved:
            self._slot(name, row).pop(row[self.id_field], None)
        row.update(fields)
        for name in moved:
            self._slot(name, row)[row[self.id_field]] = row

    def drop(self, row: Row) -> None:
        """Take a record off the shelf."""
        del self.rows[row[self.id_field]]
        for name in self._index:
            self._slot(name, row).pop(row[self.id_field], None)

    def need(self, record_id: str, what: str) -> Row:
        """The record of that id, or RefusalError 404."""
        row = self.rows.get(record_id)
        if row is None:
            raise RefusalError(404, 1002, f"{what} does not exist.")
        return row

    def find(self, name: str, value: str) -> list[Row]:
        """Records whose indexed field equals value (case and outer spaces aside)."""
        return list(self._index[name].get(_folded(value), {}).values())

    def newest(self, query: Mapping[str, str], ignored: frozenset[str] = frozenset()) -> list[Row]:
        """Newest first, narrowed by the indexed parameters in the query; others are ignored."""
        chosen: dict[str, Row] | None = None
        for name, slots in self._index.items():
            if query.get(name) and name not in ignored:
                found = slots.get(_folded(query[name]), {})
                both = found if chosen is None else {k: v for k, v in chosen.items() if k in found}
                chosen = both
        return list(reversed((self.rows if chosen is None else chosen).values()))

    def _slot(self, name: str, row: Row) -> dict[str, Row]:
        return self._index[name].setdefault(_folded(row.get(name)), {})


def _folded(value: Any) -> str:
    return "" if value is None else str(value).strip().casefold()


def text(body: Row, name: str, default: Any = "") -> str:
    """A text field of a body; RefusalError 400 for another type or for one that is too long."""
    value = body.get(name)
    if value is None:
        return str(default)
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise RefusalError(400, 4, f"Invalid value passed for {name}")
    value = str(value)
    if len(value) > LONGEST.get(name, LONGEST_TEXT):
        raise RefusalError(
            400, 15, f"Please ensure that the {name} has less than the allowed length."
        )
    return value


def needed(body: Row, name: str) -> str:
    """A text field that must be there and not blank."""
    value = text(body, name)
    if not value.strip():
        raise RefusalError(400, 6, f"Please enter a value for {name}. It is mandatory.")
    return value


def money(body: Row, name: str, default: Decimal | None = None, places: Decimal = CENT) -> Decimal:
    """A number (or number in a text), rounded half up to the currency's places."""
    value = body.get(name)
    if value is None or value == "":
        if default is None:
            raise RefusalError(400, 6, f"Please enter a value for {name}. It is mandatory.")
        return default
    try:
        number = Decimal("nan" if isinstance(value, bool) else str(value))
        if not number.is_finite() or abs(number) >= Decimal("1e13"):
            raise ValueError
        return number.quantize(places, ROUND_HALF_UP)
    except (ArithmeticError, ValueError) as fault:
        raise RefusalError(400, 4, f"Invalid value passed for {name}") from fault


def whole(body: Row, name: str, default: Any) -> int:
    """A whole number of at most four digits."""
    value = body.get(name, default)
    if isinstance(value, bool) or not re.fullmatch(r"-?[0-9]{1,4}", str(value)):
        raise RefusalError(400, 4, f"Invalid value passed for {name}")
    return int(value)


def flag(body: Mapping[str, Any], name: str, default: bool) -> bool:
    """A boolean, of JSON or of a query string."""
    value = body.get(name)
    return default if value is None else str(value).lower() == "true"


def day(body: Row, name: str, default: date | None) -> date:
    """A yyyy-mm-dd date between 1900 and 2100."""
    value = body.get(name)
    if value is None or value == "":
        if default is None:
            raise RefusalError(400, 6, f"Please enter a value for {name}. It is mandatory.")
        return default
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        try:
            found = date.fromisoformat(value)
        except ValueError:
            found = date.min
        if 1900 <= found.year <= 2100:
            return found
    raise RefusalError(400, 4, f"Invalid value passed for {name}")


def listed(body: Row, name: str) -> list[Row]:
    """A list of objects, empty when absent."""
    value = body.get(name) or []
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise RefusalError(400, 4, f"Invalid value passed for {name}")
    return value


def pick(row: Mapping[str, Any], names: str) -> Row:
    """Those fields of a row that it has, in that order."""
    return {name: row[name] for name in names.split() if name in row}


def cents(number: Decimal) -> Decimal:
    """Rounded half up to two places, as Zoho rounds each tax component."""
    return number.quantize(CENT, ROUND_HALF_UP)


def priced(
    line: Row,
    tax: Row | None,
    price: Decimal,
    *,
    discount: Decimal = NOTHING,
    inclusive: bool = False,
) -> Row:
    """A line with its amounts: tax per line, rounded half up to the cent."""
    percent = Decimal(tax["tax_percentage"]) if tax else NOTHING
    quantity = Decimal(line["quantity"])
    amount = cents(price * quantity - discount)
    net = cents(amount * 100 / (100 + percent)) if inclusive else amount
    return line | {
        "code": line.get("code", ""),
        "price": f"{price.normalize():f}",
        "quantity": int(quantity) if quantity == int(quantity) else quantity.normalize(),
        "discount_amount": discount,
        "item_total": amount,
        "tax_name": tax["tax_name"] if tax else "",
        "tax_percentage": percent,
        "_net": net,
        "_tax": amount - net if inclusive else cents(amount * percent / 100),
    }


def totals(lines: list[Row], fields: Row) -> Row:
    """Sums of an invoice: sub_total without tax, the taxes, and the total."""
    taxes: dict[str, Decimal] = {}
    for line in lines:
        if line["tax_id"]:
            taxes[line["tax_name"]] = taxes.get(line["tax_name"], NOTHING) + line["_tax"]
    net = sum((line["_net"] for line in lines), NOTHING)
    tax = sum(taxes.values(), NOTHING)
    extra = fields["adjustment"] + fields["shipping_charge"] - fields["discount"]
    shown = [{"tax_name": name, "tax_amount": amount} for name, amount in taxes.items()]
    return {"sub_total": net, "tax_total": tax, "taxes": shown, "total": net + tax + extra}


def by_status(rows: list[Row], wanted: str, prefix: str) -> list[Row]:
    """Rows of that status; a filter of another prefix or value silently lets everything through."""
    head, _, value = wanted.partition(".")
    if head != prefix or value.lower() not in ("active", "inactive"):
        return rows
    return [row for row in rows if row["status"] == value.lower()]


@dataclass(slots=True)
class Books:
    """The organisation's state and the rules of customers, products, plans, items and taxes."""

    clock: Clock
    zone: ZoneInfo
    currency: str
    ledger: Ledger
    taxes: tuple[Tax, ...]
    custom_fields: tuple[str, ...] | None
    allow_duplicate_names: bool
    lines_need_product: bool
    ignored_filters: frozenset[str]
    customers: Shelf = field(default_factory=lambda: Shelf("customer_id", "email", "display_name"))
    products: Shelf = field(default_factory=lambda: Shelf("product_id", "name"))
    plans: Shelf = field(default_factory=lambda: Shelf("plan_code", "product_id"))
    items: Shelf = field(default_factory=lambda: Shelf("item_id", "name", "sku"))
    tax_rows: dict[str, Row] = field(default_factory=dict)
    _last_id: int = 4600000000000000000

    def __post_init__(self) -> None:
        for tax in self.taxes:
            row = {"tax_id": self.new_id(), "tax_name": tax.name, "tax_type": "tax"}
            self.tax_rows[row["tax_id"]] = {**row, "tax_percentage": tax.percentage}

    def new_id(self) -> str:
        """The next 19-digit id."""
        self._last_id += 13
        return str(self._last_id)

    def today(self) -> date:
        """The organisation's own date."""
        return self.clock.now().astimezone(self.zone).date()

    def stamp(self) -> str:
        """The present as Zoho writes it, offset without a colon."""
        return self.clock.now().astimezone(self.zone).strftime("%Y-%m-%dT%H:%M:%S%z")

    def fresh(self, call: Call, fields: Row) -> Row:
        """A new row with its times; a stale-list fault hides it from lists for a while."""
        now = self.stamp()
        row = {**fields, "created_time": now, "updated_time": now}
        row["_listed_s"] = self.clock.monotonic() + call.hide_s
        return row

    def tax(self, tax_id: str) -> Row | None:
        """The tax of that id; None when none was named, RefusalError 400 when there is no such."""
        if not tax_id:
            return None
        if tax_id not in self.tax_rows:
            raise RefusalError(400, 4, "Invalid value passed for tax_id")
        return self.tax_rows[tax_id]

    def labelled(self, body: Row, before: list[Row]) -> list[Row]:
        """custom_fields of a body laid over those before; labels must exist in the organisation."""
        values = {entry["label"]: entry["value"] for entry in before}
        for entry in listed(body, "custom_fields"):
            label = needed(entry, "label")
            if self.custom_fields is not None and label not in self.custom_fields:
                raise RefusalError(400, 120129, f"The custom field {label} does not exist.")
            values[label] = text(entry, "value")
        return [
            {"index": index, "label": label, "value": value, "data_type": "text"}
            for index, (label, value) in enumerate(values.items(), 1)
        ]

    # --- customers ---------------------------------------------------------------------------

    def create_customer(self, call: Call) -> Reply:
        """POST /customers: name and e-mail are needed, doubles are allowed unless set otherwise."""
        fields = self._customer_fields(call.body, {})
        first: Row = {"customer_id": self.new_id(), "status": "active"}
        first |= {"unused_credits": NOTHING, "outstanding": NOTHING}
        row = self.customers.add(self.fresh(call, first | fields))
        shown = {**self.show_customer(row), "payment_terms": row["payment_terms"]}
        return Reply(201, {"customer": shown}, row["customer_id"])

    def update_customer(self, call: Call) -> Reply:
        """PUT /customers/{id}: fields left out stay; name and e-mail are wanted again."""
        row = self.customers.need(call.ids[0], "Customer")
        fields = self._customer_fields(call.body, row)
        self.customers.change(row, {**fields, "updated_time": self.stamp()})
        return Reply(200, {"customer": self.show_customer(row)}, row["customer_id"])

    def read_customer(self, call: Call) -> Reply:
        """GET /customers/{id}."""
        row = self.customers.need(call.ids[0], "Customer")
        return Reply(200, {"customer": self.show_customer(row)}, row["customer_id"])

    def list_customers(self, call: Call) -> Listing:
        """GET /customers: no filter is documented; email and a few others work as in Books."""
        rows = self.customers.newest(call.query, self.ignored_filters)
        part = call.query.get("email_contains", "").casefold()
        if part and "email_contains" not in self.ignored_filters:
            rows = [row for row in rows if part in row["email"].casefold()]
        rows = by_status(rows, call.query.get("filter_by", ""), "Status")
        return Listing("customers", rows, self._list_customer)

    def _customer_fields(self, body: Row, before: Row) -> Row:
        name, email = needed(body, "display_name"), needed(body, "email")
        if not re.fullmatch(r"[^@\s]+@[^@\s]+", email):
            raise RefusalError(400, 4, "Invalid value passed for email")
        if not self.allow_duplicate_names:
            others = self.customers.find("display_name", name)
            if any(other is not before for other in others):
                raise RefusalError(400, 3062, f'The customer "{name}" already exists.')
        fields: Row = {"display_name": name, "email": email}
        fields["currency_code"] = text(body, "currency_code", before.get("currency_code", ""))
        fields["currency_code"] = fields["currency_code"] or self.currency
        for key in CUSTOMER_TEXTS.split():
            fields[key] = text(body, key, before.get(key, ""))
        for key in ("billing_address", "shipping_address"):
            given = body.get(key) or {}
            if not isinstance(given, dict):
                raise RefusalError(400, 4, f"Invalid value passed for {key}")
            old = before.get(key, {})
            fields[key] = {part: text(given, part, old.get(part, "")) for part in ADDRESS.split()}
        fields["payment_terms"] = whole(body, "payment_terms", before.get("payment_terms", 0))
        fields["custom_fields"] = self.labelled(body, before.get("custom_fields", []))
        return fields

    def show_customer(self, row: Row) -> Row:
        """A customer as GET one shows it."""
        return {
            **pick(row, "customer_id display_name email first_name last_name salutation "),
            **pick(row, "company_name phone mobile website department designation notes"),
            **pick(row, "billing_address shipping_address currency_code payment_terms_label"),
            **pick(row, "status custom_fields outstanding unused_credits"),
            **pick(row, "created_time updated_time"),
            "is_portal_enabled": False,
            "price_precision": 2,
        }

    def _list_customer(self, row: Row) -> Row:
        names = "customer_id display_name email first_name last_name salutation company_name "
        more = "phone mobile website department designation currency_code outstanding "
        return pick(row, names + more + "unused_credits created_time updated_time")
