"""What a planned step would change: each field that differs, and no other."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from core.builders import claim, linked, planned, wanted
from zohosync.core.listing import Change, changes_of, is_shown, is_told, leaves
from zohosync.core.records import Claim, Desired
from zohosync.core.settlement import UNKNOWN


def changes(desired: Desired, known: Claim, **fields: Any) -> list[Change]:
    return list(changes_of(planned(desired, known, **fields), desired, known))


def test_an_update_lists_each_field_that_differs_with_what_was_accepted_last() -> None:
    found = changes(wanted("customers", display_name="Ann", phone="1"), linked("customers"))
    assert set(found) == {Change("display_name", "Ada", "Ann"), Change("phone", None, "1")}


def test_a_field_that_is_emptied_goes_to_nothing() -> None:
    known = linked("customers")
    assert known.payload is not None
    known.payload["phone"] = "1"
    assert changes(wanted("customers", phone=None), known) == [Change("phone", "1", None)]


def test_of_a_list_and_of_an_object_only_the_part_that_differs_is_told() -> None:
    lines = [
        {"name": "Line", "price": Decimal(100), "quantity": 2, "tax": "VAT 15"},
        {"name": "More", "price": Decimal(1), "quantity": 1},
    ]
    desired = wanted("invoices", invoice_items=lines)
    found = {each.field: (each.before, each.after) for each in changes(desired, linked("invoices"))}
    assert found.pop("invoice_items[0].quantity") == (Decimal(1), Decimal(2))
    assert found.keys() == {
        f"invoice_items[1].{name}" for name in ("name", "price", "quantity", "product_id")
    }
    quantity = changes(wanted("subscriptions", **{"plan.quantity": 3}), linked("subscriptions"))
    assert quantity == [Change("plan.quantity", Decimal(1), Decimal(3))]


def test_a_create_opens_with_what_zoho_demands_and_ends_with_the_state_it_comes_to() -> None:
    found = changes(wanted("invoices", notes="thanks", state="open"), claim("invoices"))
    fields = [each.field for each in found]
    assert fields[:2] == ["invoice_number", "date"]
    assert found[-1] == Change("state", None, "open")
    assert {"notes", "customer_id", "invoice_items[0].price"} < set(fields)
    assert all(each.before is None for each in found)
    draft = changes(wanted("invoices"), claim("invoices"))
    assert "state" not in [each.field for each in draft]


def test_a_change_of_state_is_told_from_and_to_to_its_very_end() -> None:
    moved = changes(wanted("subscriptions", state="cancelled"), linked("subscriptions"))
    assert moved == [Change("state", "live", "cancelled")]
    through = changes(wanted("invoices", state="void"), linked("invoices", "draft"))
    assert through == [Change("state", "draft", "void")]
    both = changes(wanted("invoices", notes="x", state="open"), linked("invoices", "draft"))
    assert both == [Change("notes", None, "x"), Change("state", "draft", "open")]


def test_what_sends_nothing_has_its_reason() -> None:
    (failed,) = changes(wanted("customers", email=None), claim("customers"))
    assert (failed.field, failed.after) == ("reason", "email is required and is empty")
    (waits,) = changes(wanted("payments"), claim("payments"), parents={})
    assert waits.after == "customers 1 is not in Zoho yet"
    (looked,) = changes(wanted("invoices", raised_by="zoho"), claim("invoices"))
    assert (looked.field, looked.after) == ("zoho_id", "to be found (link)")


def test_what_is_in_step_is_in_no_list_and_what_is_skipped_on_no_screen() -> None:
    nothing = planned(wanted("customers"), linked("customers"))
    skipped = planned(wanted("customers", eligible=False), claim("customers"))
    created = planned(wanted("customers"), claim("customers"))
    assert [is_told(step) for step in (nothing, skipped, created)] == [False, True, True]
    assert [is_shown(step) for step in (nothing, skipped, created)] == [False, False, True]
    assert list(changes_of(nothing, wanted("customers"), linked("customers"))) == []


plain = st.none() | st.booleans() | st.text(max_size=3) | st.decimals(allow_nan=False)
payloads = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(value=payloads)
def test_every_value_of_a_payload_has_one_path(value: Any) -> None:
    found = list(leaves(value, "x"))
    assert len({path for path, _ in found}) == len(found) >= 1
    assert not any(isinstance(inner, dict) and inner for _, inner in found)


def test_what_nobody_knows_of_zoho_is_not_shown_as_a_value_that_it_has() -> None:
    known = linked("customers")
    known = replace(known, payload={**(known.payload or {}), "email": UNKNOWN, "phone": UNKNOWN})
    row = wanted("customers", phone=None)
    changes = {each.field: each for each in changes_of(planned(row, known), row, known)}
    assert changes["phone"] == Change("phone", "(not known)", None)
    assert changes["email"].before is None
    assert not [field for field in changes if "unknown" in field]
