"""What an update sends: what differs, what a PUT demands, and what Zoho would else set anew."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from core.builders import ROWS, linked, payload_of, planned, wanted
from zohosync.core.kinds import KINDS
from zohosync.core.lines import LINE_IDS
from zohosync.core.steps import Update


def test_only_what_differs_is_sent_with_what_a_put_demands() -> None:
    step = planned(wanted("customers", phone="1"), linked("customers"))
    assert isinstance(step, Update)
    demanded = {name: step.wanted[name] for name in KINDS["customers"].always}
    assert step.fields == {**demanded, "phone": "1"}
    step = planned(wanted("products", description="new"), linked("products"))
    assert isinstance(step, Update)
    assert step.fields == {"name": "Hosting", "description": "new"}
    assert step.wanted == {"name": "Hosting", "description": "new"}


def test_a_field_that_became_null_is_cleared_and_one_never_set_is_not_sent() -> None:
    was = replace(
        linked("customers"), payload={**(linked("customers").payload or {}), "phone": "1"}
    )
    step = planned(wanted("customers", phone=None, mobile=None), was)
    assert isinstance(step, Update)
    assert step.fields["phone"] == ""
    assert "mobile" not in step.fields


def test_lines_are_sent_whole_with_the_ids_that_they_have() -> None:
    two = [*ROWS["invoices"]["invoice_items"], {"name": "More", "price": 1, "quantity": 1}]
    known = linked("invoices", hints={LINE_IDS: ["l1"]})
    step = planned(wanted("invoices", invoice_items=two), known)
    assert isinstance(step, Update)
    assert [line.get("item_id") for line in step.fields["invoice_items"]] == ["l1", None]
    assert all("item_id" not in line for line in step.wanted["invoice_items"])
    fewer = planned(
        wanted("invoices", due_date="2026-02-01"),
        linked("invoices", hints={LINE_IDS: ["l1", "l2"]}),
    )
    assert isinstance(fewer, Update)
    assert [line["item_id"] for line in fewer.fields["invoice_items"]] == ["l1"]


@pytest.mark.parametrize(
    "edit",
    [
        {"terms": "Thirty days"},
        {"payment_terms": 14},
        {"invoice_items": [{"name": "Line", "price": Decimal(90), "quantity": 1}]},
    ],
)
def test_an_update_of_an_invoice_repeats_the_due_date_which_zoho_else_sets_anew(
    edit: dict[str, Any],
) -> None:
    was = linked("invoices", payload=payload_of("invoices", due_date="2026-02-01"))
    step = planned(wanted("invoices", due_date="2026-02-01", **edit), was)
    assert isinstance(step, Update)
    assert step.fields["due_date"] == "2026-02-01"
    assert step.fields.keys() >= edit.keys()


@pytest.mark.parametrize("empty", [{}, {"due_date": None}])
def test_an_update_names_no_due_date_where_there_never_was_one(empty: dict[str, Any]) -> None:
    step = planned(wanted("invoices", notes="Thanks", **empty), linked("invoices"))
    assert isinstance(step, Update)
    assert step.fields.keys() == {"customer_id", "invoice_items", "notes"}
