"""The client against the sandbox: each step is one call of ours, each answer one reply."""

from decimal import Decimal
from typing import Any

import pytest

from remote_kit import Line, claim, found_ids, line
from zohosync.core.records import LIVE
from zohosync.core.replies import (
    Accepted,
    Found,
    Rejected,
    Throttled,
    Unavailable,
    Unreachable,
    Unusable,
)
from zohosync.core.steps import Create, Purpose, Transition, Update
from zohosync.sandbox import Fault, Faults
from zohosync.zoho.client import Call

ANN = {"display_name": "Ann", "email": "ann@x.example", "notes": "zs:t:1"}


async def made(on: Line, kind: str, payload: dict[str, Any]) -> str:
    reply = await on.create(kind, payload)
    assert isinstance(reply, Accepted), reply
    return reply.zoho_id


async def billed(on: Line, number: str = "A-1", price: str = "10.50") -> tuple[str, str]:
    """A customer and an open invoice of theirs."""
    customer = await made(on, "customers", {**ANN, "display_name": f"Ann {number}"})
    item = await made(on, "items", {"name": f"work {number}", "rate": Decimal(0)})
    lines = [{"product_id": item, "name": "x", "price": Decimal(price), "quantity": Decimal(2)}]
    payload = {"customer_id": customer, "invoice_number": number, "date": "2026-03-01"}
    invoice = await made(on, "invoices", {**payload, "invoice_items": lines})
    opened = await on.perform("invoices", Transition(invoice, "converttoopen", "open", more=False))
    assert isinstance(opened, Accepted)
    return customer, invoice


async def subscribed(on: Line, reference: str = "zs:t:s1") -> tuple[str, Accepted]:
    customer = await made(on, "customers", ANN)
    product = await made(on, "products", {"name": f"net {reference}"})
    plan = {"plan_code": reference, "name": "Fibre", "recurring_price": Decimal("99.90")}
    plan |= {"interval": Decimal(1), "interval_unit": "months", "product_id": product}
    await made(on, "plans", plan)
    payload = {"customer_id": customer, "plan": {"plan_code": reference, "quantity": Decimal(1)}}
    reply = await on.create(
        "subscriptions", {**payload, "reference_id": reference, "auto_collect": False}
    )
    assert isinstance(reply, Accepted), reply
    return customer, reply


async def test_a_create_is_one_call_that_carries_its_intent() -> None:
    async with line() as on:
        wanted = {**ANN, "phone": None}
        step = Create(ANN, wanted, Decimal("1.50"), more=False)
        about = claim("customers")
        reply = await on.remote.perform(step, about, LIVE)
        assert isinstance(reply, Accepted)
        assert reply.fields["email"] == "ann@x.example"
        (token, call) = on.gate.calls
        assert (token.door, token.operation, token.writes) == ("accounts", "token", False)
        assert call == Call(
            "api", "customers.create", "POST", "/customers", LIVE, about, writes=True,
            intent=wanted, intent_total="1.50",
        )  # fmt: skip
        assert [end.sent for end in on.gate.ends] == [True, True]
        assert on.gate.ends[1].status == 201
        assert on.gate.ends[1].reply == reply


async def test_invoices_keep_our_number_their_cents_and_send_no_mail() -> None:
    async with line() as on:
        _, invoice = await billed(on, "2026/001", "0.1")
        (kept,) = on.sandbox.ledger.records("invoices")
        assert (kept["invoice_number"], kept["total"]) == ("2026/001", Decimal("0.20"))
        found = await on.find("invoices", {}, zoho_id=invoice, purpose=Purpose.CHECK)
        assert isinstance(found, Found)
        fields = found.candidates[0].fields
        assert fields["invoice_number"] == "2026/001"
        assert fields["date"] == "2026-03-01"
        assert fields["total"] == Decimal("0.2")
        assert fields["status"] in ("sent", "overdue")
        assert on.sandbox.ledger.emails == 0


async def test_a_change_puts_the_fields_on_the_record() -> None:
    async with line() as on:
        customer = await made(on, "customers", ANN)
        fields = {"display_name": "Bea", "email": "bea@x.example"}
        reply = await on.perform("customers", Update(customer, fields, {}, None, more=False))
        assert isinstance(reply, Accepted)
        assert (reply.zoho_id, reply.fields["display_name"]) == (customer, "Bea")
        assert (on.gate.calls[-1].intent, on.gate.calls[-1].writes) == (fields, True)
        assert on.gate.calls[-1].operation == "customers.update"


async def test_every_change_of_state_lands() -> None:
    async with line() as on:
        customer, invoice = await billed(on)
        for kind, zoho_id, operation in (
            ("customers", customer, "markasinactive"),
            ("customers", customer, "markasactive"),
            ("invoices", invoice, "void"),
        ):
            step = Transition(zoho_id, operation, "there", more=False)
            assert isinstance(await on.perform(kind, step), Accepted)
        _, subscription = await subscribed(on)
        for operation in ("cancel_at_end", "cancel"):
            step = Transition(subscription.zoho_id, operation, "there", more=False)
            assert isinstance(await on.perform("subscriptions", step), Accepted)
        states = {
            kind: [row["status"] for row in on.sandbox.ledger.records(kind)]
            for kind in ("invoices", "subscriptions")
        }
        assert states["subscriptions"] == ["cancelled"]
        assert "void" in states["invoices"]


async def test_a_customer_is_found_among_namesakes_by_reading_each() -> None:
    async with line() as on:
        ours = await made(on, "customers", ANN)
        namesake = await made(on, "customers", {**ANN, "notes": "zs:t:2"})
        await made(on, "customers", {**ANN, "email": "joann@x.example"})
        found = await on.find("customers", {**ANN, "email": "ANN@x.example"})
        assert sorted(found_ids(found)) == sorted([ours, namesake])
        assert isinstance(found, Found)
        assert {row.fields["notes"] for row in found.candidates} == {"zs:t:1", "zs:t:2"}
        assert on.left(since=4) == ["customers.list", "customers.read", "customers.read"]


async def test_a_filter_that_zoho_ignores_costs_pages_and_finds_no_stranger() -> None:
    async with line(ignored_filters=("email",)) as on:
        for number in range(450):
            body = {"display_name": f"C {number}", "email": f"c{number}@x.example"}
            on.sandbox.by_hand("POST", "/customers", body)
        found = await on.find("customers", {"email": "c0@x.example"})
        assert len(found_ids(found)) == 1
        assert on.left() == ["customers.list"] * 3 + ["customers.read"]
        nobody = await on.find("customers", {"email": "nobody@x.example"})
        assert nobody == Found((), complete=True)


async def test_more_namesakes_than_can_be_read_are_for_a_person() -> None:
    async with line() as on:
        for _ in range(26):
            on.sandbox.by_hand("POST", "/customers", ANN)
        found = await on.find("customers", ANN)
        assert isinstance(found, Rejected)
        assert "26 customers" in found.message
        assert on.left() == ["customers.list"]


async def test_what_cannot_be_looked_up_costs_no_call() -> None:
    async with line() as on:
        unpaid = {"reference_number": "R", "invoices": []}
        nothing: dict[str, Any] = {}
        for kind, expected in (("customers", nothing), ("plans", nothing), ("payments", unpaid)):
            assert isinstance(await on.find(kind, expected), Unusable)
        assert on.gate.calls == []


async def test_products_plans_items_and_taxes_are_found_by_what_names_them() -> None:
    async with line() as on:
        product = await made(on, "products", {"name": "Net"})
        await made(on, "products", {"name": "Net 2"})
        plan = {"plan_code": "FIBRE", "name": "Fibre", "recurring_price": Decimal(1)}
        await made(on, "plans", {**plan, "interval": Decimal(1), "product_id": product})
        item = await made(on, "items", {"name": "zohosync t VAT 15", "rate": Decimal(0)})
        sold = on.sandbox.by_hand("POST", "/items", {"name": "Router", "rate": 5, "sku": "R-1"})
        assert found_ids(await on.find("products", {"name": "Net"})) == [product]
        assert found_ids(await on.find("plans", {"plan_code": "FIBRE"})) == ["FIBRE"]
        assert found_ids(await on.find("plans", {"plan_code": "COAX"})) == []
        assert found_ids(await on.find("items", {"name": "zohosync t VAT 15"})) == [item]
        by_sku = await on.find("items", {"sku": "R-1"}, purpose=Purpose.LINK)
        assert found_ids(by_sku) == [sold["item"]["item_id"]]
        tax = await on.find("taxes", {"tax_name": "VAT 15"}, purpose=Purpose.LINK)
        assert isinstance(tax, Found)
        assert [row.fields["tax_name"] for row in tax.candidates] == ["VAT 15"]


async def test_a_subscription_is_found_by_its_whole_reference_with_its_invoice() -> None:
    async with line() as on:
        customer, ours = await subscribed(on, "zs:t:s1")
        await subscribed(on, "zs:t:s11")
        found = await on.find("subscriptions", {"reference_id": "zs:t:s1", "customer_id": customer})
        assert found_ids(found) == [ours.zoho_id]
        assert isinstance(found, Found)
        fields = found.candidates[0].fields
        assert fields["customer_id"] == customer
        assert fields["child_invoice_id"] == ours.fields["child_invoice_id"]
        assert fields["plan"]["plan_code"] == "zs:t:s1"


async def test_an_invoice_is_found_by_its_number_and_read_since_no_list_shows_its_lines() -> None:
    async with line() as on:
        customer, ours = await billed(on, "A-1")
        await billed(on, "A-11")
        before = len(on.gate.calls)
        found = await on.find("invoices", {"invoice_number": "a-1", "customer_id": customer})
        assert found_ids(found) == [ours]
        assert isinstance(found, Found)
        fields = found.candidates[0].fields
        assert (fields["customer_id"], fields["total"]) == (customer, Decimal(21))
        assert len(fields["invoice_items"]) == 1
        assert on.left(since=before) == ["invoices.list", "invoices.read"]


async def test_an_invoice_that_zoho_raised_is_linked_with_one_call() -> None:
    async with line() as on:
        customer, subscription = await subscribed(on)
        child = subscription.fields["child_invoice_id"]
        before = len(on.gate.calls)
        found = await on.find(
            "invoices", {"customer_id": customer}, purpose=Purpose.LINK, hint=child
        )
        assert found_ids(found) == [child]
        assert on.left(since=before) == ["invoices.list"]


async def test_a_list_that_lags_behind_is_made_up_for_by_reading_the_hinted_one() -> None:
    async with line() as on:
        customer, subscription = await subscribed(on)
        child = subscription.fields["child_invoice_id"]
        on.sandbox.set_faults(Faults([Fault("stale_list", "GET /invoices", seconds=1e6)]))
        before = len(on.gate.calls)
        found = await on.find(
            "invoices", {"customer_id": customer}, purpose=Purpose.LINK, hint=child
        )
        assert child in found_ids(found)
        assert on.left(since=before)[0] == "invoices.list"


async def paid(on: Line, customer: str, invoice: str, reference: str, marker: str) -> str:
    payload = {"customer_id": customer, "payment_mode": "cash", "amount": Decimal("0.5")}
    payload |= {"date": "2026-03-02", "reference_number": reference, "description": marker}
    applied = [{"invoice_id": invoice, "amount_applied": Decimal("0.5")}]
    return await made(on, "payments", {**payload, "invoices": applied})


async def test_a_payment_is_found_through_its_invoice_and_read_whole() -> None:
    async with line() as on:
        customer, invoice = await billed(on)
        ours = await paid(on, customer, invoice, "R1", "zs:t:p1")
        await paid(on, customer, invoice, "R11", "zs:t:p2")
        before = len(on.gate.calls)
        expected = {"reference_number": "R1", "invoices": [{"invoice_id": invoice}]}
        found = await on.find("payments", expected)
        assert found_ids(found) == [ours]
        assert isinstance(found, Found)
        fields = found.candidates[0].fields
        assert (fields["amount"], fields["description"]) == (Decimal("0.5"), "zs:t:p1")
        assert fields["customer_id"] == customer
        assert on.left(since=before) == ["invoices.read", "payments.read"]


async def test_a_payment_whose_invoice_is_gone_is_for_a_person() -> None:
    async with line() as on:
        expected = {"reference_number": "R1", "invoices": [{"invoice_id": "404404"}]}
        found = await on.find("payments", expected)
        assert isinstance(found, Rejected)
        assert "404404" in found.message


async def test_a_known_id_is_read_and_a_missing_one_is_found_to_be_missing() -> None:
    async with line() as on:
        customer = await made(on, "customers", ANN)
        assert found_ids(await on.find("customers", {}, zoho_id=customer)) == [customer]
        gone = await on.find("customers", {}, zoho_id="404404", purpose=Purpose.CHECK)
        assert gone == Found(())


async def test_rows_that_move_between_pages_are_read_once_more() -> None:
    async with line(ignored_filters=("email",)) as on:
        for number in range(250):
            body = {"display_name": f"C {number}", "email": f"c{number}@x.example"}
            on.sandbox.by_hand("POST", "/customers", body)
        expected = {"email": "nobody@x.example"}
        on.sandbox.set_faults(Faults([Fault("reordered", "GET /customers", nth=2)]))
        assert await on.find("customers", expected) == Found((), complete=True)
        assert on.left() == ["customers.list"] * 4
        on.sandbox.set_faults(Faults([Fault("reordered", "GET /customers", nth=2),
                                      Fault("reordered", "GET /customers", nth=4)]))  # fmt: skip
        assert await on.find("customers", expected) == Found((), complete=False)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault("rate_limit", "POST *", code=44, seconds=1800), Throttled),
        (Fault("rate_limit", "POST *", code=1070), Throttled),
        (Fault("error_before_commit", "POST *"), Unavailable),
        (Fault("error_after_commit", "POST *"), Unavailable),
        (Fault("html", "POST *"), Unavailable),
        (Fault("refused_200", "POST *"), Rejected),
        (Fault("reset", "POST *"), Unreachable),
        (Fault("lost_reply", "POST *"), Unreachable),
        (Fault("truncated", "POST *"), Unusable),
        (Fault("without_id", "POST *"), Unusable),
    ],
    ids=lambda value: f"{value.what} {value.code}" if isinstance(value, Fault) else None,
)
async def test_trouble_has_its_own_reply(fault: Fault, expected: type) -> None:
    async with line() as on:
        await on.remote.probe()
        on.sandbox.set_faults(Faults([fault]))
        reply = await on.create("customers", ANN)
        assert isinstance(reply, expected)
        if isinstance(reply, Unreachable):
            assert reply.sent
        assert on.gate.ends[-1].reply == reply
        assert on.gate.ends[-1].sent
        assert len(on.gate.calls) == len(on.gate.ends) == 3


async def test_trouble_in_the_middle_of_a_look_up_is_the_answer_to_it() -> None:
    async with line() as on:
        await made(on, "customers", ANN)
        on.sandbox.set_faults(Faults([Fault("rate_limit", "GET /customers/*", seconds=60)]))
        reply = await on.find("customers", ANN)
        assert reply == Throttled("44", 60.0, getattr(reply, "message", ""))
