"""The kinds as data: parents, states, natural keys, policies; only here do they differ."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from zohosync.core.records import BULK, LIVE, NORMAL

ALL_FIELDS = frozenset({"*"})


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


@dataclass(frozen=True, slots=True)
class Reference:
    """A column of a mapping that names a parent by its key.

    `within` is the list whose items carry the column; `field` is the dotted place of the
    parent's Zoho id in the payload (or in the item). A reference with a `fallback` names the
    parent `fallback_prefix + value of the fallback column` where its own column is empty.
    """

    column: str
    kind: str
    field: str
    within: str | None = None
    required: bool = True
    sent: bool = True
    needs: frozenset[str] = frozenset()
    prefix: str = ""
    fallback: str | None = None
    fallback_prefix: str = ""


@dataclass(frozen=True, slots=True)
class States:
    """The states that a mapping may ask for, what Zoho calls them, and the moves between them."""

    initial: str
    remote: Mapping[str, str]
    moves: Mapping[tuple[str, str], str] = field(default_factory=dict)
    ended: frozenset[str] = frozenset()
    advice: Mapping[str, str] = field(default_factory=dict)

    def of(self, remote_status: Any) -> str:
        """Our word for the status that Zoho reports; the initial state where it reports none."""
        return self.remote.get(str(remote_status or "").lower(), self.initial)

    def names(self) -> frozenset[str]:
        """Every state that a mapping may name."""
        return frozenset({self.initial, *self.remote.values(), *self.ended})

    def next_move(self, here: str, there: str) -> tuple[str, str] | None:
        """The first move on the shortest way: (operation, state reached), or None."""
        ways: deque[tuple[str, tuple[str, str] | None]] = deque([(here, None)])
        seen = {here}
        while ways:
            at, first = ways.popleft()
            if at == there:
                return first
            for (source, target), operation in self.moves.items():
                if source == at and target not in seen:
                    seen.add(target)
                    ways.append((target, first or (operation, target)))
        return None


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of record.

    `marker` is the field that carries `zs:<installation>:<key>`; `somebody` are groups of fields
    that, when all of a group differ, tell that a key came back as somebody else; `namesake` are
    what else a row under a new key must share with one that vanished to be the same (a number of
    its own, or what it is for); `identity` are
    the fields that must be equal for a remote record to be ours, `near_identity` those of one that
    Zoho raised (found within `near_days`, by a row that has `near_required`); `always` are sent
    with every update because a PUT demands them; `locked` names, per state in Zoho (`*` = any),
    the fields that may not change; `lines` is the list that a PUT replaces, whose items keep their
    `line_id` and are the same when their `line_identity` is; `link_only` records are found in
    Zoho, never made. `guide_batch` is the batch of a backfill under the guide's plan, and its pause
    in seconds.
    """

    name: str
    singular: str
    id_field: str
    states: States
    required: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()
    marker: str | None = None
    marker_is_whole: bool = False
    identity: tuple[str, ...] = ()
    near_days: int = 0
    near_identity: tuple[str, ...] = ()
    near_required: tuple[str, ...] = ()
    constants: Mapping[str, Any] = field(default_factory=dict)
    always: tuple[str, ...] = ()
    locked: Mapping[str, frozenset[str]] = field(default_factory=dict)
    lock_advice: str = "change it back, or change it by hand in Zoho"
    hints: tuple[str, ...] = ()
    hint_for: str | None = None
    lines: str | None = None
    line_identity: tuple[str, ...] = ()
    line_id: str = ""
    money: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()
    raises: bool = False
    unique: tuple[str, ...] = ()
    somebody: tuple[tuple[str, ...], ...] = ()
    namesake: tuple[str, ...] = ()
    internal: bool = False
    link_only: bool = False
    new_priority: int = NORMAL
    guide_batch: tuple[int, float] | None = None


_ACTIVE = States(
    initial="active",
    remote=MappingProxyType({"active": "active", "inactive": "inactive"}),
    moves=MappingProxyType(
        {("active", "inactive"): "markasinactive", ("inactive", "active"): "markasactive"}
    ),
)
_ONE = States(initial="active", remote=MappingProxyType({}))

PRODUCTS = Kind(
    name="products",
    singular="product",
    id_field="product_id",
    states=_ACTIVE,
    required=("name",),
    columns=("name", "description", "email_ids", "redirect_url"),
    identity=("name",),
    namesake=("name",),
    unique=("name",),
    always=("name",),
    new_priority=BULK,
)
PLANS = Kind(
    name="plans",
    singular="plan",
    id_field="plan_code",
    states=_ACTIVE,
    required=("plan_code", "name", "recurring_price", "interval"),
    columns=_words(
        "plan_code name recurring_price interval interval_unit billing_cycles setup_fee "
        "trial_period description unit"
    ),
    references=(
        Reference("product_key", "products", "product_id"),
        Reference("tax", "taxes", "tax_id", required=False),
    ),
    identity=("plan_code",),
    namesake=("plan_code",),
    unique=("plan_code",),
    always=("plan_code", "name", "recurring_price", "interval"),
    locked=MappingProxyType({"*": frozenset({"plan_code", "product_id"})}),
    money=("recurring_price", "setup_fee"),
    new_priority=BULK,
)
CUSTOMERS = Kind(
    name="customers",
    guide_batch=(5, 5.0),
    singular="customer",
    id_field="customer_id",
    states=_ACTIVE,
    required=("display_name", "email"),
    columns=_words(
        "display_name email salutation first_name last_name company_name phone mobile "
        "website department designation notes currency_code payment_terms "
        "payment_terms_label is_portal_enabled is_taxable vat_reg_no tax_reg_no gst_no "
        "gst_treatment vat_treatment billing_address shipping_address custom_fields"
    ),
    marker="notes",
    somebody=(("email", "display_name"),),
    always=("display_name", "email"),
    new_priority=LIVE,
)
SUBSCRIPTIONS = Kind(
    name="subscriptions",
    guide_batch=(5, 3.0),
    singular="subscription",
    id_field="subscription_id",
    states=States(
        initial="live",
        remote=MappingProxyType(
            {
                **dict.fromkeys(
                    ("live", "future", "trial", "past_due", "unpaid", "active"), "live"
                ),
                **dict.fromkeys(("cancelled", "cancelled_from_dunning", "expired"), "cancelled"),
                "trial_expired": "cancelled",
                "non_renewing": "non_renewing",
            }
        ),
        moves=MappingProxyType(
            {
                ("live", "cancelled"): "cancel",
                ("live", "non_renewing"): "cancel_at_end",
                ("non_renewing", "cancelled"): "cancel",
            }
        ),
        ended=frozenset({"cancelled"}),
        advice=MappingProxyType(
            {"cancelled": "a cancelled subscription stays so: give the new one a new key"}
        ),
    ),
    required=("plan.quantity",),
    columns=_words(
        "plan starts_at payment_terms payment_terms_label exchange_rate salesperson_name "
        "create_backdated_invoice add_to_unbilled_charges place_of_supply custom_fields"
    ),
    references=(
        Reference("customer_key", "customers", "customer_id"),
        Reference("plan_key", "plans", "plan.plan_code"),
    ),
    marker="reference_id",
    marker_is_whole=True,
    identity=("reference_id", "customer_id"),
    namesake=("customer_id", "plan.plan_code"),
    constants=MappingProxyType({"auto_collect": False}),
    always=("customer_id", "plan", "auto_collect"),
    locked=MappingProxyType({"*": frozenset({"customer_id"}), "cancelled": ALL_FIELDS}),
    hints=("child_invoice_id",),
    money=("plan.price", "plan.setup_fee"),
    dates=("starts_at",),
)
INVOICES = Kind(
    name="invoices",
    guide_batch=(10, 2.0),
    singular="invoice",
    id_field="invoice_id",
    states=States(
        initial="draft",
        remote=MappingProxyType(
            {
                "draft": "draft",
                **dict.fromkeys(
                    ("open", "sent", "overdue", "unpaid", "paid", "partially_paid"), "open"
                ),
                "void": "void",
            }
        ),
        moves=MappingProxyType(
            {("draft", "open"): "converttoopen", ("open", "void"): "void"},
        ),
        ended=frozenset({"void"}),
        advice=MappingProxyType({"void": "a void invoice stays void: issue a new one"}),
    ),
    required=("invoice_number", "date", "invoice_items"),
    columns=_words(
        "invoice_number reference_number date due_date invoice_items payment_terms "
        "payment_terms_label discount discount_type is_discount_before_tax "
        "is_inclusive_tax adjustment adjustment_description shipping_charge exchange_rate "
        "notes terms salesperson_name place_of_supply custom_fields"
    ),
    references=(
        Reference("customer_key", "customers", "customer_id"),
        Reference(
            "subscription_key", "subscriptions", "subscription_id", required=False, sent=False
        ),
        Reference("tax", "taxes", "tax_id", within="invoice_items", required=False),
        Reference(
            "sku",
            "items",
            "product_id",
            within="invoice_items",
            prefix="sku:",
            fallback="tax",
            fallback_prefix="tax:",
        ),
    ),
    identity=("invoice_number", "customer_id", "total"),
    near_identity=("customer_id", "total"),
    near_required=("date",),
    near_days=1,
    hint_for="child_invoice_id",
    lines="invoice_items",
    line_identity=("name", "price", "quantity", "tax_id"),
    line_id="item_id",
    always=("customer_id", "invoice_items", "due_date"),  # a PUT without it sets it anew
    locked=MappingProxyType(
        {
            "*": frozenset({"customer_id", "invoice_number"}),
            "open": frozenset(
                {
                    "date",
                    "invoice_items",
                    "discount",
                    "adjustment",
                    "shipping_charge",
                    "is_inclusive_tax",
                    "exchange_rate",
                    "discount_type",
                }
            ),
            "void": ALL_FIELDS,
        }
    ),
    lock_advice="it is issued: void it and issue a new one",
    money=("adjustment", "shipping_charge", "total"),
    dates=("date", "due_date"),
    raises=True,
    unique=("invoice_number",),
    somebody=(("invoice_number",),),
)
PAYMENTS = Kind(
    name="payments",
    guide_batch=(10, 2.0),
    singular="payment",
    id_field="payment_id",
    states=States(
        initial="paid",
        remote=MappingProxyType({}),
        ended=frozenset({"reversed"}),
        advice=MappingProxyType({"reversed": "refund it by hand in Zoho"}),
    ),
    required=("amount", "payment_mode", "date", "reference_number", "invoices"),
    columns=_words(
        "amount payment_mode date reference_number description invoices exchange_rate "
        "bank_charges custom_fields"
    ),
    references=(
        Reference("customer_key", "customers", "customer_id"),
        Reference(
            "invoice_key", "invoices", "invoice_id", within="invoices", needs=frozenset({"open"})
        ),
    ),
    marker="description",
    identity=("reference_number", "amount"),
    always=("customer_id", "payment_mode", "amount", "invoices"),
    locked=MappingProxyType(
        {"*": frozenset({"customer_id", "amount", "invoices", "reference_number"})}
    ),
    lock_advice="refund or correct it by hand in Zoho",
    money=("amount", "bank_charges"),
    dates=("date",),
    unique=("reference_number",),
    somebody=(("reference_number", "amount"),),
)
ITEMS = Kind(
    name="items",
    singular="item",
    id_field="item_id",
    states=_ONE,
    required=("name", "rate"),
    references=(Reference("tax", "taxes", "tax_id", required=False),),
    identity=("name",),
    internal=True,
)
TAXES = Kind(
    name="taxes",
    singular="tax",
    id_field="tax_id",
    states=_ONE,
    identity=("tax_name",),
    internal=True,
    link_only=True,
)

KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            TAXES,
            ITEMS,
            PRODUCTS,
            PLANS,
            CUSTOMERS,
            SUBSCRIPTIONS,
            INVOICES,
            PAYMENTS,
        )
    }
)
"""Every kind by name, parents before children."""

MAPPED: tuple[str, ...] = tuple(name for name, kind in KINDS.items() if not kind.internal)
"""The kinds that a mapping may describe, parents before children."""


def kind_named(name: str) -> Kind:
    """The kind of that name; raises ValueError that lists the names there are."""
    if name not in KINDS:
        raise ValueError(f"there is no kind {name!r}: the kinds are {', '.join(MAPPED)}")
    return KINDS[name]
