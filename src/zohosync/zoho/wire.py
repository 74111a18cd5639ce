"""Zoho's spellings and ours, as data: paths, envelopes, names, look-ups; addresses and scopes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

import simplejson

from zohosync.core.records import Payload, at, canonical, same
from zohosync.core.steps import Create, Purpose, Transition, Update

PER_PAGE = 200
"""Rows of a page: the default and the most (documented)."""

PAGES_MAX = 500
"""Pages of one list that we read; what goes on beyond is not read to the end."""

READS_MAX = 25
"""Records that one look-up may read one by one before a person has to say which is ours."""


@dataclass(frozen=True, slots=True)
class Move:
    """The call that changes a record's state: POST /{path}/{id}/{suffix}."""

    suffix: str
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Through:
    """The record stands in a list inside another record: whose id is `at` in what is expected.

    There is no list of such records. `share` is what each takes of the other, beside that id.
    """

    kind: str
    at: tuple[str | int, ...]
    within: str
    share: str = ""


@dataclass(frozen=True, slots=True)
class LookUp:
    """How a record is found by its natural key.

    `asked` are query parameters filled from what is expected, `fixed` are constant ones: both
    only spare pages, since Zoho ignores what it does not know. `narrow` are the fields that have
    to be equal on our side, letter case aside. Rows that lack a field of `needs` are read by id.
    `by` names the field that is itself the id.
    """

    narrow: tuple[str, ...] = ()
    asked: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    through: Through | None = None
    by: str | None = None


@dataclass(frozen=True, slots=True)
class Wire:
    """How one kind is said to Zoho.

    `spellings` maps the dotted names of replies to the names that we write; a reply that has
    ours keeps it. `by_name` are fields that a list tells by the name of what they mean: the field,
    the kind, and where its name stands. `texts` are numbers that Zoho takes and gives as strings.
    """

    kind: str
    path: str
    singular: str
    id_field: str
    verify: LookUp
    link: LookUp | None = None
    plural: str = ""
    spellings: Mapping[str, str] = field(default_factory=dict)
    by_name: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    texts: frozenset[str] = frozenset()
    create_query: Mapping[str, str] = field(default_factory=dict)
    moves: Mapping[str, Move] = field(default_factory=dict)
    verbs: tuple[str, ...] = ("CREATE", "READ", "UPDATE")
    module: str = ""

    @property
    def list_name(self) -> str:
        """The name of the list in the envelope of a list reply."""
        return self.plural or self.kind

    def look_up(self, purpose: Purpose) -> LookUp:
        """How to find a record for that purpose."""
        return self.link if purpose is Purpose.LINK and self.link else self.verify


_ON_AND_OFF = MappingProxyType(
    {"markasactive": Move("markasactive"), "markasinactive": Move("markasinactive")}
)

_WIRES = (
    Wire("taxes", "settings/taxes", "tax", "tax_id", LookUp(narrow=("tax_name",)),
         verbs=("READ",), module="settings"),
    Wire("items", "items", "item", "item_id", LookUp(narrow=("name",)),
         link=LookUp(narrow=("sku",)), verbs=("CREATE", "READ")),
    Wire("products", "products", "product", "product_id", LookUp(narrow=("name",)),
         moves=_ON_AND_OFF),
    Wire("plans", "plans", "plan", "plan_code", LookUp(by="plan_code"), moves=_ON_AND_OFF),
    Wire("customers", "customers", "customer", "customer_id",
         LookUp(narrow=("email",), asked={"email": "email"},
                needs=("notes", "custom_fields")),
         moves=_ON_AND_OFF),
    Wire("subscriptions", "subscriptions", "subscription", "subscription_id",
         LookUp(narrow=("reference_id",), asked={"reference_contains": "reference_id"},
                fixed={"filter_by": "SubscriptionStatus.All"},
                needs=("customer_id", "child_invoice_id")),
         spellings={"customer.customer_id": "customer_id"},
         by_name={"plan.plan_code": ("plans", "plan_name")},
         moves={"cancel": Move("cancel", {"cancel_at_end": "false"}),
                "cancel_at_end": Move("cancel", {"cancel_at_end": "true"})}),
    Wire("invoices", "invoices", "invoice", "invoice_id",
         LookUp(narrow=("invoice_number",), asked={"customer_id": "customer_id"},
                fixed={"filter_by": "Status.All"},
                needs=("customer_id", "total", "invoice_items")),
         link=LookUp(narrow=("customer_id",), asked={"customer_id": "customer_id"},
                     fixed={"filter_by": "Status.All"}, needs=("customer_id", "total", "date")),
         spellings={"number": "invoice_number", "invoice_date": "date",
                    "last_modified_time": "updated_time"},
         texts=frozenset({"invoice_items.price", "shipping_charge"}),
         create_query={"send": "false", "ignore_auto_number_generation": "true"},
         moves={"converttoopen": Move("converttoopen"), "void": Move("void")}),
    Wire("payments", "payments", "payment", "payment_id",
         LookUp(narrow=("reference_number",), needs=("customer_id", "description"),
                through=Through("invoices", ("invoices", 0, "invoice_id"), "payments",
                                "amount_applied"))),
)  # fmt: skip

WIRES: Mapping[str, Wire] = MappingProxyType({wire.kind: wire for wire in _WIRES})
"""How every kind is said to Zoho, by its name."""

SCOPES: tuple[str, ...] = tuple(
    f"ZohoSubscriptions.{wire.module or wire.kind}.{verb}" for wire in _WIRES for verb in wire.verbs
)
"""The OAuth scopes that we need and no others. Changes of state are POSTs: CREATE (documented)."""


@dataclass(frozen=True, slots=True)
class DataCenter:
    """Where an organisation lives: API and accounts addresses, and the console for `login`."""

    api: str
    accounts: str
    console: str
    certain: bool = True


def _data_center(domain: str, *, accounts: str = "zoho", certain: bool = True) -> DataCenter:
    hosts = (f"www.zohoapis.{domain}", f"accounts.{accounts}.{domain}",
             f"api-console.{accounts}.{domain}")  # fmt: skip
    api, accounts_, console = (f"https://{host}" for host in hosts)
    return DataCenter(api, accounts_, console, certain)


DATA_CENTERS: Mapping[str, DataCenter] = MappingProxyType(
    {
        "us": _data_center("com"),
        "eu": _data_center("eu"),
        "in": _data_center("in"),
        "au": _data_center("com.au"),
        "jp": _data_center("jp"),
        "ca": _data_center("ca", accounts="zohocloud"),
        "cn": _data_center("com.cn"),
        "sa": _data_center("sa"),
        "uk": _data_center("uk", certain=False),
    }
)
"""Zoho's data centres (documented; `uk` is only reported, see docs/zoho.md)."""

API_PATH = "/billing/v1"


@dataclass(frozen=True, slots=True)
class Request:
    """One call to the API, before it has an address and a token."""

    operation: str
    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    payload: Payload | None = None
    body: bytes | None = None
    total: Decimal | None = None


def write_request(wire: Wire, step: Create | Update | Transition) -> Request:
    """The call that a step makes; `payload` is what the journal keeps of it as the intent."""
    match step:
        case Create(payload=payload, wanted=wanted, total=total):
            return Request(f"{wire.kind}.create", "POST", f"/{wire.path}",
                           wire.create_query, wanted, encode(wire, payload), total)  # fmt: skip
        case Update(zoho_id=zoho_id, fields=fields, total=total):
            path = record_path(wire, zoho_id)
            return Request(f"{wire.kind}.update", "PUT", path, {}, fields, encode(wire, fields),
                           total)  # fmt: skip
        case Transition(zoho_id=zoho_id, operation=operation):
            move = wire.moves[operation]
            path = f"{record_path(wire, zoho_id)}/{move.suffix}"
            return Request(f"{wire.kind}.{operation}", "POST", path, move.query, {})


def read_request(wire: Wire, zoho_id: str) -> Request:
    """The call that reads one record."""
    return Request(f"{wire.kind}.read", "GET", record_path(wire, zoho_id))


def list_request(wire: Wire, query: Mapping[str, str], page: int) -> Request:
    """The call that reads one page of a list, counted from 1."""
    paging = {"page": str(page), "per_page": str(PER_PAGE)}
    return Request(f"{wire.kind}.list", "GET", f"/{wire.path}", {**query, **paging})


def record_path(wire: Wire, zoho_id: str) -> str:
    """The path of one record; plan codes may hold any character."""
    return f"/{wire.path}/{quote(zoho_id, safe='')}"


def query_of(look: LookUp, expected: Payload) -> dict[str, str]:
    """The query of a look-up; parameters for which nothing is expected are left out."""
    asked = {name: at(expected, (column,)) for name, column in look.asked.items()}
    return {**look.fixed, **{name: str(value) for name, value in asked.items() if value}}


def fits(look: LookUp, expected: Payload, fields: Payload) -> bool:
    """Whether a row is one of those that the look-up is about, on our side, letter case aside."""
    return all(_alike(expected.get(name), fields.get(name)) for name in look.narrow)


def encode(wire: Wire, payload: Payload) -> bytes:
    """The body of a write: exact Decimals as JSON numbers, or as strings where Zoho has those."""
    spelled = _with_texts(payload, wire.texts, "")
    return simplejson.dumps(spelled, use_decimal=True, ensure_ascii=False).encode()


def spell(wire: Wire, record: Mapping[str, Any]) -> Payload:
    """A record of a reply in the spellings that we write, in canonical form.

    Raises TypeError or ArithmeticError for values that no payload can hold.
    """
    plain = _clean(record, wire.texts, "")
    assert isinstance(plain, dict)
    for theirs, ours in wire.spellings.items():
        value = at(plain, tuple(theirs.split(".")))
        if value is not None and plain.get(ours) in (None, ""):
            plain[ours] = value
    return plain


def id_of(wire: Wire, record: Any) -> str | None:
    """The id in a record of a reply, as text; None when it has no usable one."""
    value = record.get(wire.id_field) if isinstance(record, Mapping) else None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)  # an id that lost its quotes; JSON integers are exact
    return value if isinstance(value, str) and value else None


def clean_text(text: str) -> str:
    """Text that Postgres can hold: no NUL, no half of a surrogate pair."""
    if text.isascii() and "\x00" not in text:
        return text
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


def _clean(value: Any, texts: frozenset[str], path: str) -> Any:
    match value:
        case str():
            if path in texts and _is_number(value):
                return canonical(Decimal(value))
            return clean_text(value)
        case Mapping():
            deeper = f"{path}." if path else ""
            return {
                clean_text(name): _clean(value[name], texts, f"{deeper}{name}")
                for name in sorted(value)
            }
        case list():
            return [_clean(item, texts, path) for item in value]
        case _:
            return canonical(value)


def _is_number(text: str) -> bool:
    digits = text.removeprefix("-").replace(".", "", 1)
    return digits.isascii() and digits.isdigit()


def _with_texts(value: Any, texts: frozenset[str], path: str) -> Any:
    match value:
        case Mapping():
            deeper = f"{path}." if path else ""
            return {
                name: _with_texts(item, texts, f"{deeper}{name}") for name, item in value.items()
            }
        case list():
            return [_with_texts(item, texts, path) for item in value]
        case Decimal() if path in texts:
            return f"{value:f}"
        case _:
            return value


def _alike(left: Any, right: Any) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        return left.strip().casefold() == right.strip().casefold()
    return same(left, right)
