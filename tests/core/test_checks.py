"""What `check` says of columns, rows and plans, decided without a database."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from zohosync.core.checks import (
    Fault,
    RowChecks,
    Scan,
    column_faults,
    organization_fault,
    relations_of,
    scan_fault,
    scan_of,
    sort_of,
)
from zohosync.core.kinds import KINDS, MAPPED
from zohosync.core.mapping import desired_of

CUSTOMER = [("key", "integer"), ("display_name", "text"), ("email", "text")]
PAYMENT = [
    ("key", "uuid"), ("customer_key", "uuid"), ("amount", "numeric"), ("date", "date"),
    ("payment_mode", "text"), ("reference_number", "text"), ("invoices", "jsonb"),
]  # fmt: skip


def faults(kind: str, columns: list[tuple[str, str]], mapped: Any = MAPPED) -> list[str]:
    return [str(fault) for fault in column_faults(KINDS[kind], columns, mapped)]


def with_type(columns: list[tuple[str, str]], name: str, sql_type: str) -> list[tuple[str, str]]:
    return [(each, sql_type if each == name else known) for each, known in columns]


def test_a_mapping_that_fits_has_no_faults() -> None:
    assert faults("customers", [*CUSTOMER, ("billing_address.city", "text")]) == []
    assert faults("payments", PAYMENT) == []


def test_an_unknown_column_is_named_with_the_nearest_one() -> None:
    (said,) = faults("customers", [*CUSTOMER, ("compny_name", "text")])
    assert said == (
        "customers.compny_name: Zoho's API has no such field: did you mean company_name?"
    )


def test_a_column_that_only_zohosync_sets_is_refused_as_such() -> None:
    name = next(iter(KINDS["subscriptions"].constants))
    said = [text for text in faults("subscriptions", [(name, "boolean")]) if name in text]
    assert said == [f"subscriptions.{name}: it is set by zohosync and cannot be mapped"]


def test_a_column_of_a_line_is_sent_back_to_its_list() -> None:
    said = faults("payments", [*PAYMENT, ("invoice_key", "uuid")])
    assert said == ["payments.invoice_key: it belongs into the items of invoices"]


def test_each_missing_required_column_is_named() -> None:
    said = faults("payments", [("key", "uuid")])
    for name in ("customer_key", "amount", "date", "reference_number", "invoices"):
        assert f"payments.{name}: this required column is missing" in said


def test_a_nested_required_field_may_come_as_a_whole() -> None:
    names = [
        ("key", "integer"), ("customer_key", "integer"), ("plan_key", "integer"), ("plan", "jsonb"),
    ]  # fmt: skip
    assert faults("subscriptions", names) == []


@pytest.mark.parametrize(
    ("column", "sql_type", "words"),
    [
        ("amount", "double precision", "a float is not exact"),
        ("amount", "boolean", "an amount of money"),
        ("date", "integer", "must be a date"),
        ("invoices", "text", "one jsonb list"),
        ("reference_number", "bytea", "cannot be sent"),
        ("key", "jsonb", "cannot be a key"),
    ],
)
def test_a_wrong_type_is_named_with_what_it_should_be(
    column: str, sql_type: str, words: str
) -> None:
    (said,) = faults("payments", with_type(PAYMENT, column, sql_type))
    assert said.startswith(f"payments.{column}: its type is {sql_type}: ")
    assert words in said


@pytest.mark.parametrize("sql_type", ["numeric", "integer", "text"])
def test_money_may_be_any_exact_number_or_text(sql_type: str) -> None:
    assert faults("payments", with_type(PAYMENT, "amount", sql_type)) == []


def test_a_parent_that_has_no_mapping_is_named() -> None:
    said = faults("payments", PAYMENT, {"payments", "customers"})
    assert len(said) == 1
    assert said[0].startswith("payments.invoice_key: it names invoices, which have no mapping")
    assert said[0].endswith("write mapping/invoices.sql")


# ------------------------------------------------------------------------------------------- rows


def taken(*rows: tuple[str, dict[str, Any]], mapped: Any = MAPPED) -> list[Fault]:
    checks = RowChecks(mapped)
    for kind, row in rows:
        checks.take(desired_of(KINDS[kind], row, marker=f"zs:t:{row['key']}", marker_field=None))
    return checks.faults()


def customer(key: Any = 1, **other: Any) -> tuple[str, dict[str, Any]]:
    row = {"key": key, "display_name": f"C {key}", "email": f"{key}@example.com"}
    return "customers", {**row, **other}


def invoice(key: Any = 1, **other: Any) -> tuple[str, dict[str, Any]]:
    row = {
        "key": key, "customer_key": 1, "invoice_number": f"I-{key}", "date": date(2026, 3, 1),
        "state": "open", "total": Decimal(10),
        "invoice_items": [{"name": "x", "price": Decimal(10), "quantity": 1}],
    }  # fmt: skip
    return "invoices", {**row, **other}


def payment(key: Any = 1, **other: Any) -> tuple[str, dict[str, Any]]:
    row = {
        "key": key, "customer_key": 1, "amount": Decimal(10), "date": date(2026, 3, 2),
        "payment_mode": "cash", "reference_number": f"R-{key}",
        "invoices": [{"invoice_key": 1, "amount_applied": Decimal(10)}],
    }  # fmt: skip
    return "payments", {**row, **other}


def subscription(key: Any = 1, **other: Any) -> tuple[str, dict[str, Any]]:
    row = {
        "key": key, "customer_key": 1, "plan_key": 1, "plan.quantity": 1,
        "starts_at": date(2026, 3, 1),
    }  # fmt: skip
    return "subscriptions", {**row, **other}


def plan() -> tuple[tuple[str, dict[str, Any]], ...]:
    product = ("products", {"key": 1, "name": "P"})
    row = {
        "key": 1, "product_key": 1, "plan_code": "a", "name": "A", "recurring_price": Decimal(5),
        "interval": 1,
    }  # fmt: skip
    return product, ("plans", row)


def test_rows_that_fit_have_no_faults() -> None:
    assert taken(*plan(), customer(), subscription(), invoice(), payment()) == []


def test_a_key_that_comes_twice_is_named_once_with_a_sample() -> None:
    (fault,) = taken(customer(7), customer(7), customer(7))
    assert (fault.kind, fault.column, fault.key, fault.rows) == ("customers", "key", "7", 2)
    assert "more than once" in fault.message


def test_null_in_a_required_field_is_counted_and_has_a_sample_key() -> None:
    (fault,) = taken(customer(1, email=None), customer(2, email=""), customer(3))
    assert (fault.column, fault.key, fault.rows) == ("email", "1", 2)
    assert str(fault).startswith("customers.email: ")
    assert "(2 rows, like key 1)" in str(fault)


@pytest.mark.parametrize("money", ["ten", "NaN", "1,000.00"])
def test_money_that_will_not_parse_is_named(money: str) -> None:
    found = taken(customer(), invoice(), payment(amount=money))
    assert found[0].column == "amount"
    assert money[:3] in found[0].message


def test_a_date_that_will_not_parse_or_is_out_of_range_is_named() -> None:
    found = taken(customer(), invoice(1, date="31/12/2026"), invoice(2, date=date(2300, 1, 1)))
    assert {(fault.column, fault.key) for fault in found} >= {("date", "1"), ("date", "2")}


def test_a_payment_without_an_invoice_is_named() -> None:
    found = taken(customer(), invoice(), payment(1, invoices=[]), payment(2, invoices=None))
    assert {(fault.column, fault.rows) for fault in found} == {("invoices", 2)}


@pytest.mark.parametrize("column", ["reference_number"])
def test_a_repeated_reference_of_a_payment_is_named(column: str) -> None:
    (fault,) = taken(customer(), invoice(), payment(1), payment(2, **{column: "R-1"}))
    assert (fault.column, fault.key) == (column, "2")
    assert "is repeated" in fault.message


def test_a_repeated_invoice_number_is_named() -> None:
    (fault,) = taken(customer(), invoice(1), invoice(2, invoice_number="I-1"))
    assert (fault.column, fault.key) == ("invoice_number", "2")


def test_a_repeated_number_of_a_row_that_is_left_out_is_no_fault() -> None:
    rows = (customer(), invoice(1), invoice(2, invoice_number="I-1", eligible=False))
    assert taken(*rows) == []


def test_a_parent_that_its_mapping_never_returns_is_named_with_the_child() -> None:
    (fault,) = taken(customer(1), invoice(5, customer_key=99))
    assert (fault.kind, fault.column, fault.key) == ("invoices", "customer_key", "5")
    assert "customers 99" in fault.message


def test_an_eligible_child_of_a_parent_that_is_not_is_worth_a_note() -> None:
    (fault,) = taken(customer(1, eligible=False), invoice(5))
    assert fault.note
    assert "wait for ever" in fault.message


@pytest.mark.parametrize(
    ("row", "column"), [({"state": "paid"}, "state"), ({"raised_by": "them"}, "raised_by")]
)
def test_words_that_are_none_of_ours_are_named(row: dict[str, str], column: str) -> None:
    found = taken(customer(), invoice(1, **row))
    assert column in [fault.column for fault in found]


def test_an_invoice_that_zoho_cannot_have_raised_is_named() -> None:
    old = invoice(9, raised_by="zoho", subscription_key=1, date=date(2026, 2, 28))
    new = invoice(8, raised_by="zoho", subscription_key=1, date=date(2026, 3, 1))
    (fault,) = taken(*plan(), customer(), subscription(), old, new)
    assert (fault.column, fault.key) == ("raised_by", "9")
    assert "2026-02-28" in fault.message
    assert "not eligible" in fault.message


def test_the_same_trouble_with_other_particulars_is_one_sort() -> None:
    assert sort_of("amount 'ten' is not money") == sort_of("amount 'x' is not money")
    assert sort_of("names customers 7, never") == sort_of("names customers 8a-9, never")
    assert sort_of("email is empty") != sort_of("name is empty")


# ------------------------------------------------------------------------------------------ plans

INDEXED = [{"Plan": {
    "Node Type": "Nested Loop",
    "Plans": [
        {"Node Type": "Index Scan", "Schema": "public", "Relation Name": "invoice",
         "Index Cond": "(i.invoice_id = ANY ('{17,17}'::integer[]))"},
        {"Node Type": "Seq Scan", "Schema": "public", "Relation Name": "track"},
    ],
}}]  # fmt: skip


def filtered(condition: str, node: str = "Seq Scan") -> list[dict[str, Any]]:
    scan = {"Node Type": node, "Schema": "public", "Relation Name": "invoice", "Filter": condition}
    return [{"Plan": {"Node Type": "Append", "Plans": [scan]}}]


def test_a_plan_tells_which_tables_it_reads() -> None:
    assert relations_of(INDEXED) == {("public", "invoice"), ("public", "track")}


def test_a_key_that_an_index_finds_is_no_scan() -> None:
    assert scan_of(INDEXED, "17") is None


def test_a_computed_key_is_a_fault_however_small_the_table() -> None:
    scan = scan_of(filtered("((i.invoice_id)::text = ANY ('{17,17}'::text[]))"), "17")
    assert scan is not None
    fault = scan_fault("invoices", scan, 12)
    assert not fault.note
    assert "public.invoice" in fault.message
    assert "bare column" in fault.next_step


@pytest.mark.parametrize(("rows", "note"), [(12, True), (9_999, True), (10_000, False)])
def test_a_bare_key_without_an_index_is_a_fault_where_the_table_is_large(
    rows: int, note: bool
) -> None:
    scan = scan_of(filtered('(i."Number" = ANY (\'{"a b","a b"}\'::text[]))'), "a b")
    assert scan == Scan(("public", "invoice"), scan.condition if scan else "", bare=True)
    assert scan_fault("invoices", scan, rows).note is note


def test_a_condition_that_is_not_the_one_on_the_key_is_passed_over() -> None:
    assert scan_of(filtered("(i.status = ANY ('{open,void}'::text[]))"), "17") is None


# ------------------------------------------------------------------------------------ organisation

HERE = [{"organization_id": "10", "name": "Shop", "mode": "Test"}]


def test_the_asserted_organisation_is_accepted() -> None:
    assert organization_fault(HERE, "10", "test") is None


def test_another_organisation_lists_the_ones_there_are() -> None:
    wrong = organization_fault(HERE, "11", "test")
    assert wrong is not None
    assert "no organisation 11" in wrong[0]
    assert "10 Shop (Test)" in wrong[1]


def test_a_live_organisation_where_test_was_asserted_is_refused() -> None:
    wrong = organization_fault([{"organization_id": 10, "mode": "live"}], "10", "test")
    assert wrong is not None
    assert wrong[0] == "Organisation 10 is live in Zoho, but test was asserted: nothing was sent"
