"""The money of planned steps: sums are exact, no two currencies meet, the order is no matter."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.builders import NOW, PARENTS, ROWS, claim, linked, planned, wanted
from zohosync.core.kinds import KINDS, MAPPED
from zohosync.core.money import Money, Sum, moves_of
from zohosync.core.records import Claim, Desired, Ref
from zohosync.core.steps import Create, Nothing
from zohosync.core.worth import Worth, number, of_lines, places_of, priced

TODAY = date(2026, 3, 1)
LINES = Worth(lines="invoice_items")
ZAR = "ZAR"
Row = tuple[str, dict[str, Any]]


def money(*rows: Row, currency: str | None = ZAR) -> Money:
    """What comes together when these rows are planned, none of them in Zoho yet."""
    found = Money(TODAY, currency)
    for kind, columns in rows:
        take(found, wanted(kind, **columns), claim(kind, key=str(columns.get("key", "1"))))
    return found


def take(found: Money, desired: Desired, known: Claim) -> None:
    parents = {**PARENTS, **{slot.parent: replaced(slot.parent) for slot in desired.slots}}
    found.note(desired)
    found.take(desired, known, planned(desired, known, parents=parents))


def replaced(ref: Ref) -> Any:
    same = next(view for view in PARENTS.values() if view.ref.kind == ref.kind)
    return replace(same, ref=ref)


def one(found: Money, topic: str, kind: str) -> Sum:
    (total,) = found.of(topic, kind).values()
    return total


def lines(*items: Any, **columns: Any) -> Decimal | None:
    return of_lines(LINES, {"invoice_items": list(items), **columns}, places=2)


def test_invoices_that_are_made_and_opened_are_two_sums() -> None:
    found = money(
        ("invoices", {"key": "1", "state": "open", "total": Decimal("115.00")}),
        ("invoices", {"key": "2", "state": "draft", "total": Decimal("0.10")}),
        ("invoices", {"key": "3", "state": "open", "total": Decimal("0.20")}),
    )
    assert one(found, "created", "invoices") == Sum(3, Decimal("115.30"))
    assert one(found, "opened", "invoices") == Sum(2, Decimal("115.20"))


def test_payments_are_booked_with_their_amounts() -> None:
    rows = [("payments", {"key": str(n), "amount": Decimal("0.10")}) for n in range(3)]
    assert one(money(*rows), "created", "payments") == Sum(3, Decimal("0.30"))


@pytest.mark.parametrize(("due", "late"), [("2026-02-28", 1), ("2026-03-01", 0), (None, 0)])
def test_an_invoice_is_overdue_on_arrival_when_it_is_due_before_today(
    due: str | None, late: int
) -> None:
    found = money(("invoices", {"state": "open", "due_date": due}))
    assert len(found.of("overdue")) == late
    assert not money(("invoices", {"state": "draft", "due_date": due})).of("overdue")


@pytest.mark.parametrize(
    ("starts", "asks", "past", "asked"),
    [("2026-02-28", True, 1, 1), ("2026-02-28", None, 1, 0), ("2026-03-01", True, 0, 0)],
)
def test_a_subscription_that_starts_in_the_past_may_raise_an_invoice(
    starts: str, asks: bool | None, past: int, asked: int
) -> None:
    columns = {"starts_at": starts, "create_backdated_invoice": asks, "plan.quantity": 3}
    found = money(("plans", {}), ("subscriptions", columns))
    assert [len(found.of(topic)) for topic in ("backdated", "backdated_asked")] == [past, asked]
    if past:  # without a price of its own it is worth its plan's
        assert one(found, "backdated", "subscriptions") == Sum(1, Decimal("299.70"), untaxed=1)


def test_a_subscription_has_its_own_price_or_its_plans_or_none_that_is_known() -> None:
    own = money(("plans", {}), ("subscriptions", {"plan.price": Decimal(5)}))
    assert one(own, "backdated", "subscriptions").amount == 5
    unknown = money(("subscriptions", {}))
    assert one(unknown, "backdated", "subscriptions") == Sum(1, Decimal(0), unknown=1)


def test_an_invoice_of_ours_that_names_a_subscription_is_told() -> None:
    ours = money(("invoices", {"subscription_key": "1"}))
    assert one(ours, "twice", "invoices").count == 1
    zohos = money(("invoices", {"subscription_key": "1", "raised_by": "zoho"}))
    assert zohos.sums == {}, "it is only looked for"


@pytest.mark.parametrize(
    ("kind", "here", "there", "topic", "amount"),
    [
        ("invoices", "open", "void", "void", Decimal(115)),
        ("subscriptions", "live", "cancelled", "cancel", None),
        ("subscriptions", "live", "non_renewing", "cancel_at_end", None),
        ("customers", "active", "inactive", "markasinactive", None),
    ],
)
def test_what_ends_in_zoho_is_counted_with_its_sum(
    kind: str, here: str, there: str, topic: str, amount: Decimal | None
) -> None:
    found = Money(TODAY, ZAR)
    take(found, wanted(kind, state=there), linked(kind, here))
    (total,) = found.of(topic, kind).values()
    assert total == Sum(1, amount or Decimal(0), unknown=amount is None)
    assert len(found.sums) == 1, "nothing else is made or opened"


def test_a_draft_that_is_in_zoho_and_is_to_be_open_is_opened() -> None:
    found = Money(TODAY, ZAR)
    take(found, wanted("invoices", state="open"), linked("invoices", "draft"))
    assert one(found, "opened", "invoices") == Sum(1, Decimal(115))
    assert not found.of("created")


def test_what_is_in_step_fails_or_waits_moves_nothing() -> None:
    found = Money(TODAY, ZAR)
    take(found, wanted("invoices"), linked("invoices"))
    bad = wanted("invoices", invoice_number=None)
    found.take(bad, claim("invoices"), planned(bad, claim("invoices")))
    alone = wanted("payments")
    found.take(alone, claim("payments"), planned(alone, claim("payments"), parents={}))
    assert found.sums == {}


def test_the_currency_is_the_rows_own_else_its_customers_else_the_organisations() -> None:
    rows = [
        ("customers", {"key": "1", "currency_code": "usd"}),
        ("customers", {"key": "2"}),
        ("invoices", {"key": "1", "customer_key": "1"}),
        ("invoices", {"key": "2", "customer_key": "2"}),
        ("payments", {"key": "1", "customer_key": "1"}),
    ]
    found = money(*rows)
    assert set(found.of("created")) == {
        ("invoices", "USD"), ("invoices", "ZAR"), ("payments", "USD")
    }  # fmt: skip
    nobody_says = money(rows[3], currency=None)
    assert set(nobody_says.of("created")) == {("invoices", "")}


@pytest.mark.parametrize(
    ("items", "columns", "amount"),
    [
        ([{"price": Decimal("19.99"), "quantity": 3}], {}, "59.97"),
        ([{"price": "19.99", "quantity": "3"}, {"price": 1}], {}, "60.97"),
        ([{"price": Decimal("0.333"), "quantity": 1}] * 3, {}, "0.99"),  # each line is rounded
        ([{"price": Decimal("0.005"), "quantity": 1}], {}, "0.01"),  # half up
        ([{"price": 100, "quantity": 1, "discount": 10}], {}, "90"),
        ([{"price": 100, "quantity": 1, "discount": "12.5%"}], {}, "87.5"),
        ([{"price": 100}], {"discount": "10%", "adjustment": Decimal("-0.01")}, "89.99"),
        ([{"price": 100}], {"discount": 10, "shipping_charge": 5}, "95"),
        ([{"price": 100, "discount": 1}], {"discount": 9, "discount_type": "item_level"}, "99"),
        ([{"name": "the item's own price"}], {}, None),
        ([{"price": 1, "quantity": "many"}], {}, None),
        ([{"price": 1, "discount": "some%"}], {}, None),
        ([{"price": "1e300"}, {"price": "1e-300"}], {}, None),  # no money has so many digits
        (["no line"], {}, None),
        ([], {}, None),
    ],
)
def test_lines_come_to_what_zoho_makes_of_them_before_tax(
    items: list[Any], columns: dict[str, Any], amount: str | None
) -> None:
    assert lines(*items, **columns) == (None if amount is None else Decimal(amount))


@pytest.mark.parametrize(
    ("line", "inclusive", "untaxed"),
    [
        ({"tax": "VAT 15"}, None, 1),
        ({"tax": "VAT 15"}, True, 0),
        ({}, None, 0),
        ({"sku": "A1"}, None, 1),
    ],
)
def test_a_reckoned_total_says_whether_tax_comes_on_top(
    line: dict[str, Any], inclusive: bool | None, untaxed: int
) -> None:
    items = [{"name": "L", "price": Decimal(100), "quantity": 1, **line}]
    columns = {"total": None, "invoice_items": items, "is_inclusive_tax": inclusive}
    assert one(money(("invoices", columns)), "created", "invoices") == Sum(
        1, Decimal(100), untaxed=untaxed
    )


@pytest.mark.parametrize(
    ("currency", "places", "amount"),
    [("ZAR", 2, "3.70"), ("JPY", 0, "4"), ("KWD", 3, "3.702"), ("", None, "3.7020")],
)
def test_amounts_are_rounded_to_the_coins_of_their_currency(
    currency: str, places: int | None, amount: str
) -> None:
    assert places_of(currency) == places
    worth, payload = Worth("price", "quantity"), {"price": Decimal("1.8510"), "quantity": 2}
    assert priced(worth, payload, places=places_of(currency)) == Decimal(amount)


def test_an_update_that_is_followed_by_a_change_of_state_has_it_as_a_move() -> None:
    desired = wanted("invoices", state="open", notes="new")
    known = linked("invoices", "draft")
    moves = moves_of(KINDS["invoices"], planned(desired, known), known, "open")
    assert moves == [("converttoopen", "open")]
    assert moves_of(KINDS["invoices"], Nothing(), known, "open") == []


amounts = st.decimals(0, 10**15, places=4, allow_nan=False)
bills = st.lists(
    st.tuples(amounts, st.sampled_from(["1", "2", "3"]), st.sampled_from(["draft", "open"])),
    max_size=12,
)


@given(bills=bills, data=st.data())
def test_sums_are_exact_of_one_currency_each_and_the_order_of_rows_does_not_matter(
    bills: list[tuple[Decimal, str, str]], data: st.DataObject
) -> None:
    codes = {"1": "USD", "2": "EUR", "3": None}
    customers: list[Row] = [
        ("customers", {"key": key, "currency_code": code}) for key, code in codes.items()
    ]
    rows: list[Row] = [
        ("invoices", {"key": str(n), "customer_key": key, "total": total, "state": state})
        for n, (total, key, state) in enumerate(bills)
    ]
    found = money(*customers, *rows)
    assert found.sums == money(*customers, *data.draw(st.permutations(rows))).sums
    for topic, states in (("created", {"draft", "open"}), ("opened", {"open"})):
        for key, code in codes.items():
            mine = [Fraction(t) for t, whose, state in bills if whose == key and state in states]
            total = found.of(topic).get(("invoices", code or ZAR), Sum())
            assert (total.count, Fraction(total.amount)) == (len(mine), sum(mine))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.decimals() | st.from_regex(r"-?[0-9]{1,70}(\.[0-9]{0,70})?(E-?[0-9]{1,3})?%?"),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["price", "quantity", "discount"]), inner, max_size=3),
    max_leaves=10,
)  # fmt: skip


@given(items=anything, rest=st.dictionaries(st.sampled_from(
    ["discount", "discount_type", "adjustment", "shipping_charge"]), anything))  # fmt: skip
def test_no_row_is_so_wrong_that_reckoning_breaks(items: Any, rest: dict[str, Any]) -> None:
    found = of_lines(LINES, {**rest, "invoice_items": items}, places=2)
    assert found is None or found.is_finite()
    assert number(items) is None or Fraction(number(items) or 0) is not None


@pytest.mark.parametrize("kind", MAPPED)
def test_every_kinds_sound_row_can_be_weighed(kind: str) -> None:
    desired = wanted(kind)
    step = planned(desired, claim(kind))
    assert isinstance(step, Create)
    found = Money(NOW.date(), None)
    found.note(desired)
    found.take(desired, claim(kind), step)
    assert all(total.count == 1 for total in found.sums.values())
    assert ROWS[kind]["key"] == desired.ref.key
