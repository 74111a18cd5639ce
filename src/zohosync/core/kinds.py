"""The kinds as data: parents, states, natural keys, policies; only here do they differ."""

from collections.abc import Mapping
from types import MappingProxyType

from zohosync.core.kind import Kind, Reference, States
from zohosync.core.records import BULK, LIVE
from zohosync.core.worth import Worth

ALL_FIELDS = frozenset({"*"})


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_ACTIVE = States(
    initial="active",
    remote=MappingProxyType({"active": "active", "inactive": "inactive"}),
    moves=MappingProxyType(
        {("active", "inactive"): "markasinactive", ("inactive", "active"): "markasactive"}
    ),
    closing=frozenset({"inactive"}),
    when_gone=MappingProxyType({"inactivate": "inactive"}),
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
    match=(("name",),),
    told_by=("name",),
    always=("name",),
    listed=True,
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
    match=(("plan_code",),),
    told_by=("plan_code",),
    always=("plan_code", "name", "recurring_price", "interval"),
    locked=MappingProxyType({"*": frozenset({"plan_code", "product_id"})}),
    money=("recurring_price", "setup_fee"),
    worth=Worth(price="recurring_price", lends=True),
    listed=True,
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
    match=(("email",),),
    resemble=(("display_name",),),
    told_by=("display_name", "email"),
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
        closing=frozenset({"cancelled", "non_renewing"}),
        when_gone=MappingProxyType({"cancel": "cancelled"}),
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
    match=(("reference_id",), ("customer_id", "plan.plan_code")),
    resemble=(("customer_id", "blind"),),
    told_by=("plan.plan_code", "starts_at"),
    namesake=("customer_id", "plan.plan_code"),
    constants=MappingProxyType({"auto_collect": False}),
    always=("customer_id", "plan", "auto_collect"),
    locked=MappingProxyType({"*": frozenset({"customer_id"}), "cancelled": ALL_FIELDS}),
    hints=("child_invoice_id",),
    money=("plan.price", "plan.setup_fee"),
    dates=("starts_at",),
    worth=Worth("plan.price", "plan.quantity", starts="starts_at"),
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
        moves=MappingProxyType({("draft", "open"): "converttoopen", ("open", "void"): "void"}),
        ended=frozenset({"void"}),
        closing=frozenset({"void"}),
        when_gone=MappingProxyType({"void": "void"}),
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
                _words(
                    "date invoice_items discount discount_type adjustment shipping_charge "
                    "is_inclusive_tax exchange_rate"
                )
            ),
            "void": ALL_FIELDS,
        }
    ),
    lock_advice="it is issued: void it and issue a new one",
    money=("adjustment", "shipping_charge", "total"),
    dates=("date", "due_date"),
    worth=Worth(lines="invoice_items", made=True, issued="open", due="due_date"),
    raises=True,
    unique=("invoice_number",),
    somebody=(("invoice_number",),),
    match=(("invoice_number",),),
    resemble=(("customer_id", "total", "date"),),
    agree=("customer_id", "total"),
    told_by=("invoice_number", "date"),
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
    worth=Worth("amount", made=True),
    unique=("reference_number",),
    somebody=(("reference_number", "amount"),),
    match=(("reference_number", "amount"),),
    told_by=("reference_number", "amount"),
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
    listed=True,
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

INTERNAL: tuple[str, ...] = tuple(name for name, kind in KINDS.items() if kind.internal)
"""The kinds that no mapping describes: what others need is looked for, or made, under these."""


def kind_named(name: str) -> Kind:
    """The kind of that name; raises ValueError that lists the names there are."""
    if name not in KINDS:
        raise ValueError(f"there is no kind {name!r}: the kinds are {', '.join(MAPPED)}")
    return KINDS[name]
