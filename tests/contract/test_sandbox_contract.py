"""Every reply of the sandbox is one that the published contract allows, slips named."""

from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

import contract.contract
from contract.contract import exemptions, operation_of, operations, reply_faults, request_faults
from contract.talk import Talk, talking
from zohosync.sandbox import Fault, Faults, SandboxLimits

DOCS = Path(__file__).parents[2] / "docs" / "zoho.md"


async def tour(talk: Talk) -> None:
    """Every operation of the contract's file, with bodies as a careful client writes them."""
    vat = await talk.tax()
    fields = [{"label": "Key", "value": "zs:1"}]
    address = {"street": "Main 1", "city": "Oslo", "zip": "0150", "country": "Norway"}
    ann = await talk.customer(custom_fields=fields, billing_address=address, notes="n")
    await talk.done("GET /customers")
    body: dict[str, Any] = {"display_name": "Ann", "email": "ann@example.com", "notes": "m"}
    body |= {"website": "w", "department": "d", "designation": "e", "payment_terms": 7}
    await talk.done(f"PUT /customers/{ann}", body)
    await talk.done("GET /customers", email="ann@example.com", page="1")
    await talk.done(f"GET /customers/{ann}")
    await talk.done(f"POST /customers/{ann}/markasinactive")
    await talk.done(f"POST /customers/{ann}/markasactive")
    plan = await talk.plan("fibre", "499.99", tax_id=vat)
    product = (await talk.done("GET /products"))["products"][0]["product_id"]
    body = {"plan_code": plan, "name": "Fibre", "recurring_price": Decimal("9.5"), "interval": 1}
    await talk.done(f"PUT /plans/{plan}", body)
    await talk.done(f"PUT /products/{product}", {"name": "Net"})
    for path in (f"/plans/{plan}", f"/products/{product}"):
        await talk.done(f"GET {path}")
        await talk.done(f"POST {path}/markasinactive")
        await talk.done(f"POST {path}/markasactive")
    await talk.done("GET /plans", filter_by="PlanStatus.ALL")
    item = await talk.item(sku="W", tax_id=vat)
    await talk.done(f"PUT /items/{item}", {"name": "Work", "rate": 5})
    for path in (
        f"GET /items/{item}",
        f"POST /items/{item}/inactive",
        f"POST /items/{item}/active",
    ):
        await talk.done(path)
    await talk.done("GET /items", name="Work")
    await tour_of_subscriptions(talk, ann, plan)
    await tour_of_money(talk, ann, item, vat)
    lone = await talk.customer("Lone")
    await talk.done(f"DELETE /customers/{lone}")


async def tour_of_subscriptions(talk: Talk, ann: str, plan: str) -> None:
    body: dict[str, Any] = {"customer_id": ann, "auto_collect": False, "reference_id": "zs:1"}
    body |= {"plan": {"plan_code": plan, "quantity": 1, "price": Decimal("10.25")}}
    made = (await talk.done("POST /subscriptions", body))["subscription"]["subscription_id"]
    del body["reference_id"]
    await talk.done(f"PUT /subscriptions/{made}", body)
    new = {"customer": {"display_name": "New", "email": "new@example.com"}, "customer_id": None}
    await talk.done("POST /subscriptions", {**body, **new})
    await talk.done(f"GET /subscriptions/{made}")
    await talk.done("GET /subscriptions", customer_id=ann, reference_contains="zs")
    await talk.done(f"POST /subscriptions/{made}/reference", {"reference_id": "zs:2"})
    await talk.done(f"POST /subscriptions/{made}/autocollect", {"auto_collect": False})
    charge = {"amount": 5, "description": "Extra"}
    await talk.done(f"POST /subscriptions/{made}/charge", charge)
    await talk.done(f"POST /subscriptions/{made}/cancel", cancel_at_end="false")


async def tour_of_money(talk: Talk, ann: str, item: str, vat: str) -> None:
    line = {"product_id": item, "quantity": Decimal("1.5"), "price": "20", "tax_id": vat}
    more: dict[str, Any] = {
        "item": item,
        "invoice_items": [line],
        "custom_fields": [{"label": "K", "value": "1"}],
    }
    made = await talk.invoice(ann, "A-1", due_date="2026-03-31", **more)
    path = f"/invoices/{made['invoice_id']}"
    line |= {"item_id": made["invoice_items"][0]["item_id"]}
    await talk.done(f"PUT {path}", {"customer_id": ann, "invoice_items": [line]})
    await talk.done(f"POST {path}/converttoopen")
    _, told = await talk.pay(ann, "12.50", (made["invoice_id"], "12.50"))
    await talk.done(f"GET {path}")
    await talk.done("GET /invoices", invoice_number="A-1", filter_by="Status.All")
    await talk.done("GET /transactions", filter_by="TransactionType.All", customer_id=ann)
    mail = {"to_mail_ids": ["a@example.com"], "subject": "s", "body": "b"}
    await talk.done(f"POST {path}/email", mail)
    payment = f"/payments/{told['payment']['payment_id']}"
    body = {"customer_id": ann, "payment_mode": "cash", "amount": 5, "invoices": []}
    await talk.done(f"GET {payment}")
    await talk.done(f"PUT {payment}", body)
    await talk.done(f"POST {payment}/refunds", {"amount": 1})
    await talk.done(f"DELETE {payment}")
    await talk.done(f"POST {path}/collect", {})
    void = await talk.open_invoice(ann, "A-2")
    await talk.done(f"POST /invoices/{void}/void")
    await talk.done(f"DELETE /invoices/{void}")


async def test_every_operation_replies_as_the_contract_says() -> None:
    async with talking() as talk:
        await tour(talk)
        seen = set()
        for request in talk.sandbox.ledger.calls():
            seen.add(request.operation)
            faults = reply_faults(request.operation, request.status, request.reply)
            assert faults == [], f"{request.operation}: {faults}"
            faults = request_faults(request.operation, request.body, request.query)
            assert faults == [], f"{request.operation}: {faults}"
            assert operation_of(request.method, request.path) == request.operation
        assert seen == set(operations())


async def test_the_sandbox_asks_for_the_scope_that_the_contract_names() -> None:
    async with talking() as talk:
        for name, facts in operations().items():
            method, path = name.split(" ")
            operation, _ = talk.sandbox.wire.find(method, path)
            assert (operation.name, operation.scope) == (name, facts["scope"])


async def test_errors_are_a_code_and_a_message() -> None:
    limits = SandboxLimits(per_minute=8)
    async with talking(limits=limits) as talk:
        ann = await talk.customer()
        talk.sandbox.set_faults(Faults([Fault("error_before_commit", "GET /items")]))
        for operation, body in (
            ("GET /customers/1", None),
            ("POST /customers", {}),
            ("PATCH /customers", {}),
            ("POST /invoices", {"customer_id": ann}),
            ("GET /items", None),
        ):
            status, told = await talk.send(operation, body)
            known = operation if operation in operations() else "GET /customers/{customer_id}"
            assert reply_faults(known, status, told) == []
        for _ in range(3):
            status, told = await talk.send("GET /customers")
        assert (status, reply_faults("GET /customers", status, told)) == (429, [])


@pytest.mark.parametrize(
    ("operation", "body", "query", "fault"),
    [
        ("POST /customers", {"display_name": "A"}, {}, "email is required"),
        ("POST /customers", {"display_name": 5, "email": "e"}, {}, "display_name is 5"),
        ("POST /customers", {"display_name": "A", "email": "e", "x": 1}, {}, "x is unknown"),
        ("POST /customers", [], {}, "the body is not an object"),
        ("GET /customers", None, {"sort": "1"}, "unknown parameter sort"),
        ("POST /payments", {"amount": "5"}, {}, "amount is '5'"),
        ("POST /invoices", {"invoice_items": [{"price": "1"}]}, {}, "product_id is required"),
        ("POST /invoices", {"invoice_items": [{"price": 1}]}, {}, "invoice_items.price is 1"),
        ("POST /invoices", {"line_items": []}, {}, "line_items is unknown"),
        ("PUT /plans/{plan_code}", {"interval": "1"}, {}, "interval is '1'"),
        ("POST /customers/{customer_id}/markasactive", {"x": 1}, {}, "no body is expected"),
    ],
)
def test_the_judge_names_what_is_wrong_with_a_request(
    operation: str, body: Any, query: dict[str, str], fault: str
) -> None:
    found = request_faults(operation, body, query)
    assert any(fault in text for text in found), found


@pytest.mark.parametrize(
    ("status", "body", "fault"),
    [
        (201, {"code": 0, "message": "success"}, "status 201"),
        (200, {"message": "success"}, "envelope"),
        (200, {"code": 0, "message": "success", "data": []}, "data is unknown"),
        (200, {"code": 0, "message": "", "customers": [{"customer_id": 1}]}, "customer_id is 1"),
        (200, {"code": 0, "message": "", "customers": {}}, "customers is not a list"),
        (404, {"code": 0, "message": ""}, "no error"),
        (200, "text", "not an object"),
    ],
)
def test_the_judge_names_what_is_wrong_with_a_reply(status: int, body: Any, fault: str) -> None:
    found = reply_faults("GET /customers", status, body)
    assert any(fault in text for text in found), found


def test_every_slip_of_the_contract_is_an_assumption_of_ours_in_the_documentation() -> None:
    rows = [line for line in DOCS.read_text("utf-8").splitlines() if "| assumed |" in line]
    for slip in exemptions():
        assert slip.reason
        told = f"| `{slip.operation}` | {slip.side} `{slip.field}` | {slip.holds} |"
        assert any(told in row for row in rows), f"docs/zoho.md lacks: {told}"


async def test_every_slip_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    async with talking() as talk:
        await tour(talk)
        calls = talk.sandbox.ledger.calls()
    slips = exemptions()
    for slip in slips:
        others = tuple(other for other in slips if other is not slip)
        monkeypatch.setattr(contract.contract, "exemptions", lambda others=others: others)
        concerned = [c for c in calls if fnmatchcase(c.operation, slip.operation)]
        assert any(
            reply_faults(call.operation, call.status, call.reply)
            if slip.side == "reply"
            else request_faults(call.operation, call.body, call.query)
            for call in concerned
        ), f"nothing needs {slip}"
