"""From a row to what is wanted: aliases, references, money, dates, markers, each fault named."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from core.builders import ROWS, marker_of, wanted
from zohosync.core.kinds import KINDS
from zohosync.core.mapping import (
    TEXT_LIMIT,
    desired_of,
    identity_of,
    internal_desired,
    key_fault,
    marked,
    somebody_else,
)
from zohosync.core.records import Desired, Ref


def messages(desired: Desired) -> list[str]:
    return [problem.message for problem in desired.faults]


@pytest.mark.parametrize("kind", ROWS)
def test_a_sound_row_has_no_fault(kind: str) -> None:
    assert messages(wanted(kind)) == []


def test_a_dotted_alias_nests_at_any_depth_and_beside_a_whole_object() -> None:
    desired = wanted(
        "customers",
        **{
            "billing_address.city": "Oslo",
            "billing_address.zip": "0150",
            "shipping_address": {"city": "Bergen"},
            "shipping_address.country": "NO",
        },
    )
    assert desired.payload["billing_address"] == {"city": "Oslo", "zip": "0150"}
    assert desired.payload["shipping_address"] == {"city": "Bergen", "country": "NO"}


def test_a_part_of_an_object_stands_also_where_the_whole_is_null_before_or_after() -> None:
    for columns in (
        {"billing_address": None, "billing_address.city": "Oslo"},
        {"billing_address.city": "Oslo", "billing_address": None},
    ):
        desired = wanted("customers", **columns)
        assert desired.payload["billing_address"] == {"city": "Oslo"}
        assert messages(desired) == []


def test_a_part_of_what_is_no_object_is_a_fault_and_not_a_crash() -> None:
    desired = wanted("customers", **{"billing_address": "Oslo", "billing_address.city": "Oslo"})
    assert messages(desired) == [
        "billing_address is a value of its own: it cannot hold billing_address.city"
    ]


def test_custom_fields_come_from_columns_and_from_a_list_and_null_clears_them() -> None:
    desired = wanted(
        "customers",
        **{
            "custom_fields.Region": "North",
            "custom_fields": [{"label": "Tier", "value": "A"}],
            "custom_fields.Since": date(2026, 1, 2),
            "custom_fields.Dot.ted": Decimal("1.50"),
            "custom_fields.Gone": None,
        },
    )
    fields = {field["label"]: field["value"] for field in desired.payload["custom_fields"]}
    assert fields == {
        "Region": "North",
        "Tier": "A",
        "Since": "2026-01-02",
        "Dot.ted": "1.50",
        "Gone": "",
    }


@pytest.mark.parametrize("value", ["text", {"label": "x"}, [1], 5, ["a"]])
def test_custom_fields_that_are_no_list_of_objects_are_a_fault(value: Any) -> None:
    desired = desired_of(
        KINDS["customers"],
        {**ROWS["customers"], "custom_fields": value, "custom_fields.Region": "North"},
        marker=marker_of("1"),
        marker_field="Ours",
    )
    assert messages(desired) == ["custom_fields is not a list of objects"]


def test_columns_that_are_ours_or_unknown_are_never_sent() -> None:
    desired = wanted("customers", eligible=True, state="active", zoho_id="9", made_up=1)
    assert set(desired.payload) == {"display_name", "email", "notes"}
    assert desired.seed_id == "9"


def test_references_become_slots_and_their_columns_are_not_sent() -> None:
    desired = wanted("subscriptions")
    assert {(slot.parent, slot.path) for slot in desired.slots} == {
        (Ref("customers", "1"), ("customer_id",)),
        (Ref("plans", "1"), ("plan", "plan_code")),
    }
    assert "customer_key" not in desired.payload


def test_a_line_names_its_tax_and_its_item_by_sku_or_one_generic_item_per_tax() -> None:
    lines = [
        {"name": "a", "price": 1, "sku": "A1", "tax": "VAT 15"},
        {"name": "b", "price": 1, "tax": "VAT 15"},
        {"name": "c", "price": 1},
    ]
    desired = wanted("invoices", invoice_items=lines)
    named = {slot.path: slot.parent for slot in desired.slots if len(slot.path) > 1}
    assert named == {
        ("invoice_items", 0, "tax_id"): Ref("taxes", "VAT 15"),
        ("invoice_items", 0, "product_id"): Ref("items", "sku:A1"),
        ("invoice_items", 1, "tax_id"): Ref("taxes", "VAT 15"),
        ("invoice_items", 1, "product_id"): Ref("items", "tax:VAT 15"),
        ("invoice_items", 2, "product_id"): Ref("items", "tax:"),
    }
    assert desired.payload["invoice_items"][0] == {"name": "a", "price": 1}
    assert lines[0]["sku"] == "A1"  # the row itself is left alone


@pytest.mark.parametrize("lines", ["text", {"name": "a"}, [1], [["a"]], 7])
def test_lines_that_are_no_list_of_objects_are_a_fault(lines: Any) -> None:
    assert "invoice_items is not a list of objects" in messages(
        wanted("invoices", invoice_items=lines)
    )


def test_the_payment_of_an_invoice_needs_it_open() -> None:
    slot = next(slot for slot in wanted("payments").slots if slot.parent.kind == "invoices")
    assert slot.needs == {"open"}
    assert slot.path == ("invoices", 0, "invoice_id")


@pytest.mark.parametrize("empty", [None, "", "   "])
def test_a_required_column_that_is_empty_is_named(empty: str | None) -> None:
    assert messages(wanted("customers", email=empty)) == ["email is required and is empty"]
    assert "invoice_items is required and is empty" in messages(
        wanted("invoices", invoice_items=[])
    )


@pytest.mark.parametrize("empty", [None, ""])
def test_a_parent_that_is_not_named_is_a_fault_unless_it_may_be_missing(empty: str | None) -> None:
    assert messages(wanted("invoices", customer_key=empty)) == [
        "customer_key is empty: it names no customers record"
    ]
    assert messages(wanted("invoices", subscription_key=empty)) == []
    unpaid = wanted("payments", invoices=[{"invoice_key": empty, "amount_applied": 1}])
    assert messages(unpaid) == [
        "invoice_key of an item of invoices is empty: it names no invoices record"
    ]


def test_a_key_of_a_parent_that_no_record_can_have_is_a_fault() -> None:
    assert messages(wanted("invoices", customer_key="x" * 10_000_000)) == [
        "customer_key: key is empty or over 200 characters"
    ]


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (Decimal("1E+2"), "100"),
        ("12.50", "12.5"),
        (" 7 ", "7"),
        (3, "3"),
        (Decimal("-0"), "0"),
        (Decimal("0.1") + Decimal("0.2"), "0.3"),
    ],
)
def test_money_is_sent_as_the_exact_plain_number(value: Any, sent: str) -> None:
    amount = wanted("payments", amount=value).payload["amount"]
    assert isinstance(amount, Decimal)
    assert str(amount) == sent


@pytest.mark.parametrize(
    "value",
    ["ten", "1,50", "€ 5", "NaN", Decimal("NaN"), Decimal("Infinity"), "-inf", "1e99", True, {}],
)
def test_money_that_is_none_is_named_with_its_column(value: Any) -> None:
    (problem, *_) = wanted("payments", amount=value).faults
    assert problem.field == "amount"
    assert "is not an amount of money" in problem.message


def test_a_float_is_no_money_and_the_way_out_is_said() -> None:
    assert any("cast it to numeric" in text for text in messages(wanted("payments", amount=1.1)))
    assert any("cast it to numeric" in text for text in messages(wanted("customers", phone=1.1)))


def test_money_below_zero_is_a_fault_and_an_adjustment_may_be() -> None:
    assert messages(wanted("payments", amount=Decimal(-1))) == ["amount -1 is below zero"]
    assert messages(wanted("invoices", adjustment=Decimal("-0.01"))) == []


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (date(2026, 2, 28), "2026-02-28"),
        (datetime(2026, 2, 28, 23, 59, tzinfo=timezone(timedelta(hours=2))), "2026-02-28"),
        (datetime(2026, 2, 28, 1, tzinfo=UTC), "2026-02-28"),
        ("2026-02-28", "2026-02-28"),
        (" 2026-02-28 ", "2026-02-28"),
        ("2026-02-28T10:00:00+02:00", "2026-02-28"),
        ("2026-02-28 10:00", "2026-02-28"),
    ],
)
def test_a_date_is_the_day_that_the_row_shows(value: Any, sent: str) -> None:
    desired = wanted("invoices", date=value)
    assert (messages(desired), desired.payload["date"]) == ([], sent)


@pytest.mark.parametrize(
    "value", ["28.02.2026", "2026-02-30", "soon", "2026-02-2899", "infinity", 5, True, [1], 1.5]
)
def test_what_is_no_date_is_named_with_its_column(value: Any) -> None:
    assert f"date {str(value)[:40]!r} is not a date" in messages(wanted("invoices", date=value))


@pytest.mark.parametrize("value", [date(1, 1, 1), date(1899, 12, 31), date(9999, 12, 31)])
def test_a_date_that_must_be_a_slip_is_out_of_range(value: date) -> None:
    assert messages(wanted("invoices", date=value)) == [f"date {value} is out of range"]


def test_text_over_the_limit_is_named_with_its_length_and_not_carried_along() -> None:
    desired = wanted("customers", company_name="x" * 10_000_000)
    assert messages(desired) == [f"company_name has 10000000 characters, over {TEXT_LIMIT}"]
    assert len(str(desired)) < 10_000


def test_nul_and_half_of_a_surrogate_pair_never_reach_the_payload() -> None:
    desired = wanted("customers", display_name="A\x00da \ud83d", notes="\x00")
    assert desired.payload["display_name"] == "Ada ?"
    str(desired.payload).encode()


@pytest.mark.parametrize(
    "name", ["Zoë 👩‍👩‍👧", "محمد بن سلمان", "株式会社", "O'Brien", "\u202eabc"]
)
def test_names_in_every_script_are_sent_as_they_are(name: str) -> None:
    desired = wanted("customers", display_name=name)
    assert (messages(desired), desired.payload["display_name"]) == ([], name)


@pytest.mark.parametrize("state", ["gone", 7, ["live"], {"a": 1}, True])
def test_a_state_that_the_kind_does_not_have_is_named_with_those_it_has(state: Any) -> None:
    assert (
        "is none of cancelled, live, non_renewing"
        in messages(wanted("subscriptions", state=state))[0]
    )


def test_who_raises_an_invoice_is_us_or_zoho_and_nothing_else() -> None:
    assert messages(wanted("invoices", raised_by="them")) == [
        "raised_by 'them' is neither us nor zoho"
    ]
    assert wanted("invoices", raised_by=None).raised_by == "us"
    assert wanted("customers", raised_by="zoho").raised_by == "us"


def test_what_zoho_raises_needs_only_what_it_is_found_by() -> None:
    row = {"key": "1", "customer_key": "1", "raised_by": "zoho", "date": "2026-01-01"}
    assert messages(wanted("invoices", row, total=Decimal(115))) == []
    assert messages(wanted("invoices", row, total=None)) == [
        "total is required to find what Zoho raised"
    ]
    assert messages(wanted("invoices", row, total=1, date=None)) == [
        "date is required and is empty"
    ]


@pytest.mark.parametrize(
    ("value", "eligible"),
    [
        (True, True),
        (False, False),
        ("t", True),
        ("no", False),
        (1, True),
        (0, False),
        (None, False),
    ],
)
def test_only_what_is_true_is_eligible(value: Any, eligible: bool) -> None:
    assert wanted("customers", eligible=value).eligible is eligible


@pytest.mark.parametrize(
    "key", ["", " 1", "1 ", "a\nb", "a\u2028b", "x" * 201, "a\x00b", "\ud800", None], ids=repr
)
def test_a_key_that_a_line_of_text_cannot_carry_is_a_fault(key: Any) -> None:
    assert key_fault(key) is not None
    assert wanted("customers", key=key).faults[0].field == "key"


@pytest.mark.parametrize("key", ["1", "a b", "x" * 200, "ключ", "0e4c…", 7])
def test_a_key_that_fits_a_line_is_none(key: Any) -> None:
    assert key_fault(key) is None


def test_the_marker_goes_below_the_notes_or_stands_alone() -> None:
    assert wanted("customers").payload["notes"] == "zs:x:1"
    assert wanted("customers", notes="Hi\nthere").payload["notes"] == "Hi\nthere\nzs:x:1"
    assert wanted("payments").payload["description"] == "zs:x:1"
    assert wanted("subscriptions").payload["reference_id"] == "zs:x:1"


def test_the_marker_goes_into_its_custom_field_where_there_is_one_and_stands_once() -> None:
    row = {**ROWS["customers"], "custom_fields.Ours": "zs:x:2", "custom_fields.Tier": "A"}
    desired = desired_of(KINDS["customers"], row, marker="zs:x:1", marker_field="Ours")
    assert desired.payload["custom_fields"] == [
        {"label": "Tier", "value": "A"},
        {"label": "Ours", "value": "zs:x:1"},
    ]
    assert desired.payload["notes"] is None
    whole = desired_of(
        KINDS["subscriptions"], ROWS["subscriptions"], marker="zs:x:1", marker_field="Ours"
    )
    assert whole.payload["reference_id"] == "zs:x:1"


def test_a_marker_that_came_along_with_the_text_claims_nobody_else() -> None:
    notes = wanted("customers", notes="copied\nzs:x:2\n  zs:x:1 \nend").payload["notes"]
    assert notes == "copied\nend\nzs:x:1"


@pytest.mark.parametrize("text", ["zs:x:1", "a\nzs:x:1\nb", "  zs:x:1  ", "a\r\nzs:x:1"])
def test_a_marker_is_recognized_as_a_whole_line(text: str) -> None:
    assert marked(text, "zs:x:1")


@pytest.mark.parametrize(
    "text", ["zs:x:12", "azs:x:1", "zs:x:1 b", "zs:y:1", "ZS:X:1", "", None, 5]
)
def test_a_marker_is_not_recognized_in_another_or_within_a_line(text: Any) -> None:
    assert not marked(text, "zs:x:1")


def test_a_key_is_somebody_else_when_all_of_who_it_was_differs() -> None:
    kind = KINDS["customers"]
    before = identity_of(wanted("customers"))
    assert not somebody_else(
        kind, before, identity_of(wanted("customers", email="new@example.com"))
    )
    other = wanted("customers", email="new@example.com", display_name="Bob")
    assert somebody_else(kind, before, identity_of(other))
    invoice = identity_of(wanted("invoices"))
    assert somebody_else(
        KINDS["invoices"], invoice, identity_of(wanted("invoices", customer_key="2"))
    )
    assert not somebody_else(KINDS["invoices"], {}, invoice)


def test_taxes_and_items_are_wanted_as_lines_name_them() -> None:
    assert internal_desired(Ref("taxes", "VAT 15"), "x").raised_by == "zoho"
    assert internal_desired(Ref("items", "sku:A:1"), "x").payload == {"sku": "A:1"}
    generic = internal_desired(Ref("items", "tax:VAT 15"), "x")
    assert (generic.raised_by, generic.payload["name"]) == ("us", "zohosync x VAT 15")
    assert [slot.parent for slot in generic.slots] == [Ref("taxes", "VAT 15")]
    assert internal_desired(Ref("items", "tax:"), "x").slots == ()
