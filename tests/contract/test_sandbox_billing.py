"""Invoices and payments: numbers, sums, states, and whose money pays for what."""

from decimal import Decimal
from typing import Any

import pytest

from contract.talk import Talk, talking


async def lines(talk: Talk, *prices: str, **more: Any) -> list[dict[str, Any]]:
    item = await talk.item(f"I{talk.clock.moment_s}{len(prices)}")
    return [{"product_id": item, "quantity": 1, "price": price, **more} for price in prices]


async def test_zoho_numbers_invoices_unless_told_not_to() -> None:
    async with talking() as talk:
        ann = await talk.customer()
        body: dict[str, Any] = {
            "customer_id": ann,
            "date": "2026-03-01",
            "invoice_number": "MINE-1",
        }
        body |= {"invoice_items": await lines(talk, "10")}
        told = (await talk.done("POST /invoices", body))["invoice"]
        assert told["invoice_number"] == "INV-000001"
        own: dict[str, Any] = {"ignore_auto_number_generation": "true"}
        told = (await talk.done("POST /invoices", body, **own))["invoice"]
        assert told["invoice_number"] == "MINE-1"
        assert await talk.refused("POST /invoices", body, **own) == (400, 1001)
        assert await talk.refused("POST /invoices", {**body, "invoice_number": ""}, **own) == (
            400,
            6,
        )
        taken: dict[str, Any] = {**body, "invoice_number": "INV-000002"}
        await talk.done("POST /invoices", taken, **own)
        told = (await talk.done("POST /invoices", body))["invoice"]
        assert told["invoice_number"] == "INV-000003"


async def test_each_endpoint_has_its_own_spellings() -> None:
    async with talking() as talk:
        made = await talk.invoice(await talk.customer(), "A-1", reference_number="R")
        assert (made["invoice_number"], made["date"]) == ("A-1", "2026-03-01")
        assert "last_modified_time" in made
        assert not {"number", "invoice_date", "updated_time"} & set(made)
        shown = (await talk.done(f"GET /invoices/{made['invoice_id']}"))["invoice"]
        (row,) = (await talk.done("GET /invoices"))["invoices"]
        for told in (shown, row):
            assert (told["number"], told["invoice_date"]) == ("A-1", "2026-03-01")
            assert "updated_time" in told
            assert not {"invoice_number", "date", "reference_number"} & set(told)
        assert not {"custom_fields", "invoice_items", "payments"} & set(row)


async def test_an_email_leaves_only_when_it_is_asked_for() -> None:
    async with talking() as talk:
        ann = await talk.customer()
        body: dict[str, Any] = {"customer_id": ann, "date": "2026-03-09"}
        body |= {"invoice_items": await lines(talk, "10")}
        for query in ({}, {"send": "false"}):
            told = (await talk.done("POST /invoices", body, **query))["invoice"]
            assert told["status"] == "draft"
        assert talk.sandbox.ledger.emails == 0
        told = (await talk.done("POST /invoices", body, send="true"))["invoice"]
        assert (told["status"], talk.sandbox.ledger.emails) == ("overdue", 1)
        mail = {"to_mail_ids": ["a@example.com"], "subject": "s", "body": "b"}
        await talk.done(f"POST /invoices/{told['invoice_id']}/email", mail)
        assert talk.sandbox.ledger.emails == 2


async def test_tax_is_computed_per_line_and_rounded_half_up() -> None:
    async with talking() as talk:
        ann, vat = await talk.customer(), await talk.tax()
        made = await talk.invoice(
            ann, "A-1", invoice_items=await lines(talk, "0.10", "0.10", "0.10", tax_id=vat)
        )
        # 0.015 each, up to 0.02 each: 0.06 where one rounding of the sum would give 0.05
        assert (made["sub_total"], made["tax_total"]) == (Decimal("0.30"), Decimal("0.06"))
        assert made["total"] == Decimal("0.36")
        assert made["taxes"] == [{"tax_name": "VAT 15", "tax_amount": Decimal("0.06")}]
        assert made["invoice_items"][0]["price"] == "0.1"


async def test_prices_may_include_tax_and_an_adjustment_settles_the_rest() -> None:
    async with talking() as talk:
        ann, vat = await talk.customer(), await talk.tax()
        rows = await lines(talk, "115", tax_id=vat)
        made = await talk.invoice(
            ann, "A-1", invoice_items=rows, is_inclusive_tax=True, adjustment=Decimal("-0.01")
        )
        assert (made["sub_total"], made["tax_total"]) == (Decimal("100.00"), Decimal("15.00"))
        assert made["total"] == Decimal("114.99")


async def test_a_line_takes_name_price_and_tax_from_its_item() -> None:
    async with talking() as talk:
        item = await talk.item("Router", "80", tax_id=await talk.tax())
        row = {"product_id": item, "quantity": Decimal("1.5")}
        made = await talk.invoice(await talk.customer(), "A-1", invoice_items=[row])
        (line,) = made["invoice_items"]
        assert (line["name"], line["quantity"]) == ("Router", Decimal("1.5"))
        assert (line["item_total"], made["total"]) == (Decimal("120.00"), Decimal("138.00"))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"invoice_items": []}, 6),
        ({"invoice_items": [{"name": "no item", "price": "1", "quantity": 1}]}, 1002),
        ({"invoice_items": [{"product_id": "460", "price": "1", "quantity": 1}]}, 1002),
        ({"date": "2026-02-30"}, 4),
        ({"date": "01/02/2026"}, 4),
        ({"date": "0001-01-01"}, 4),
        ({"date": None}, 6),
        ({"due_date": "2026-02-28"}, 4),
        ({"customer_id": "460"}, 1002),
        ({"adjustment": -500}, 1020),
    ],
)
async def test_an_invoice_that_is_wrong_is_refused(changes: dict[str, Any], code: int) -> None:
    async with talking() as talk:
        body: dict[str, Any] = {"customer_id": await talk.customer(), "date": "2026-03-01"}
        body |= {"invoice_items": await lines(talk, "10")} | changes
        assert await talk.refused("POST /invoices", body) == (400, code)
        assert talk.sandbox.ledger.records("invoices") == []


async def test_lines_without_an_item_are_a_matter_of_the_organisation() -> None:
    async with talking(lines_need_product=False) as talk:
        row = {"name": "Work", "price": "12.50", "quantity": 2}
        made = await talk.invoice(await talk.customer(), "A-1", invoice_items=[row])
        assert made["total"] == Decimal("25.00")


async def test_an_invoice_goes_from_draft_to_open_to_overdue_to_paid() -> None:
    async with talking() as talk:
        ann = await talk.customer()
        made = (await talk.invoice(ann, "A-1", due_date="2026-03-11"))["invoice_id"]

        async def status() -> str:
            told = (await talk.done(f"GET /invoices/{made}"))["invoice"]
            (row,) = (await talk.done("GET /invoices"))["invoices"]
            assert told["status"] == row["status"]
            return str(told["status"])

        assert await status() == "draft"
        assert (await talk.pay(ann, "100", (made, "100")))[0] == 400
        await talk.done(f"POST /invoices/{made}/converttoopen")
        await talk.done(f"POST /invoices/{made}/converttoopen")
        assert await status() == "sent"
        await talk.clock.sleep(2 * 86400)
        await talk.sign_in()
        assert await status() == "overdue"
        assert (await talk.pay(ann, "40", (made, "40")))[0] == 201
        assert await status() == "partially_paid"
        assert (await talk.pay(ann, "60", (made, "60")))[0] == 201
        assert await status() == "paid"
        customer = (await talk.done(f"GET /customers/{ann}"))["customer"]
        assert (customer["outstanding"], customer["unused_credits"]) == (0, 0)


async def test_void_is_for_open_invoices_only() -> None:
    async with talking() as talk:
        ann = await talk.customer()
        draft = (await talk.invoice(ann, "A-1"))["invoice_id"]
        assert (await talk.refused(f"POST /invoices/{draft}/void"))[0] == 400
        paid = await talk.open_invoice(ann, "A-2")
        await talk.pay(ann, "100", (paid, "100"))
        assert (await talk.refused(f"POST /invoices/{paid}/void"))[0] == 400
        part = await talk.open_invoice(ann, "A-3")
        await talk.pay(ann, "30", (part, "30"))
        await talk.done(f"POST /invoices/{part}/void")
        await talk.done(f"POST /invoices/{part}/void")
        customer = (await talk.done(f"GET /customers/{ann}"))["customer"]
        assert customer["unused_credits"] == Decimal("30.00")  # the part payment is unlinked
        assert customer["outstanding"] == Decimal("0.00")
        assert (await talk.pay(ann, "1", (part, "1")))[0] == 400
        own: dict[str, Any] = {"ignore_auto_number_generation": "true"}
        body: dict[str, Any] = {"customer_id": ann, "date": "2026-03-01", "invoice_number": "A-3"}
        body |= {"invoice_items": await lines(talk, "1")}
        assert await talk.refused("POST /invoices", body, **own) == (400, 1001)


async def test_paid_and_void_invoices_are_closed_to_changes() -> None:
    async with talking() as talk:
        ann = await talk.customer()
        body: dict[str, Any] = {
            "customer_id": ann,
            "date": "2026-03-01",
            "invoice_items": await lines(talk, "1"),
        }
        paid, void = await talk.open_invoice(ann, "A-1"), await talk.open_invoice(ann, "A-2")
        await talk.pay(ann, "100", (paid, "100"))
        await talk.done(f"POST /invoices/{void}/void")
        for invoice_id in (paid, void):
            assert (await talk.refused(f"PUT /invoices/{invoice_id}", body))[0] == 400


async def test_an_update_replaces_lines_and_removes_those_left_out() -> None:
    async with talking() as talk:
        ann = await talk.customer()
        made = await talk.invoice(ann, "A-1", invoice_items=await lines(talk, "10", "20", "30"))
        first, second, _ = made["invoice_items"]
        kept: dict[str, Any] = {"item_id": second["item_id"], "product_id": second["product_id"]}
        rows: list[Any] = [kept | {"quantity": 1, "price": "25"}, *(await lines(talk, "5"))]
        body: dict[str, Any] = {"customer_id": ann, "date": "2026-03-02", "invoice_items": rows}
        changed = (await talk.done(f"PUT /invoices/{made['invoice_id']}", body))["invoice"]
        ids = [line["item_id"] for line in changed["invoice_items"]]
        assert ids[0] == second["item_id"]
        assert first["item_id"] not in ids
        assert len(ids) == 2
        assert (changed["total"], changed["date"]) == (Decimal("30.00"), "2026-03-02")
        assert changed["invoice_number"] == "A-1"
        own: dict[str, Any] = {"ignore_auto_number_generation": "true"}
        path = f"PUT /invoices/{made['invoice_id']}"
        told = (await talk.done(path, {**body, "invoice_number": "A-9"}, **own))["invoice"]
        assert told["invoice_number"] == "A-9"
        assert (await talk.done("GET /invoices", invoice_number="A-9"))["invoices"]


async def test_invoices_are_filtered_by_customer_number_and_state() -> None:
    async with talking() as talk:
        ann, bob = await talk.customer("Ann"), await talk.customer("Bob")
        await talk.invoice(ann, "A-1")
        opened = await talk.open_invoice(bob, "B-1")

        async def found(**query: Any) -> list[str]:
            rows = (await talk.done("GET /invoices", **query))["invoices"]
            return [row["number"] for row in rows]

        assert await found(customer_id=ann) == ["A-1"]
        assert await found(invoice_number="b-1 ") == ["B-1"]
        assert await found(invoice_number="none") == []
        assert await found(customer_id=ann, invoice_number="B-1") == []
        assert await found(filter_by="Status.Draft") == ["A-1"]
        assert await found(filter_by="Status.Unpaid") == ["B-1"]
        assert await found(filter_by="InvoiceStatus.Draft") == ["B-1", "A-1"]  # silently all
        await talk.pay(bob, "10", (opened, "10"))
        assert await found(filter_by="Status.PartiallyPaid") == ["B-1"]


async def test_a_payment_is_read_back_through_its_invoice() -> None:
    async with talking() as talk:
        ann = await talk.customer()
        first, second = await talk.open_invoice(ann, "A-1"), await talk.open_invoice(ann, "A-2")
        status, told = await talk.pay(ann, "150", (first, "100"), (second, "50"))
        assert status == 201
        payment = told["payment"]
        shown = (await talk.done(f"GET /invoices/{second}"))["invoice"]
        (entry,) = shown["payments"]
        assert entry["payment_id"] == payment["payment_id"]
        assert (entry["reference_number"], entry["amount"]) == ("P1", Decimal("50.00"))
        assert (entry["date"], entry["payment_mode"]) == ("2026-03-05", "banktransfer")
        assert (shown["balance"], shown["payment_made"]) == (Decimal("50.00"), Decimal("50.00"))
        one = (await talk.done(f"GET /payments/{payment['payment_id']}"))["payment"]
        assert [part["amount_applied"] for part in one["invoices"]] == [100, 50]


@pytest.mark.parametrize(
    ("amount", "part"), [("100.01", "100.01"), ("50", "60"), ("10", "0"), ("10", "-5")]
)
async def test_more_than_is_owed_or_paid_is_refused(amount: str, part: str) -> None:
    async with talking() as talk:
        ann = await talk.customer()
        made = await talk.open_invoice(ann, "A-1")
        status, told = await talk.pay(ann, amount, (made, part))
        assert (status, told["code"] != 0) == (400, True)
        assert talk.sandbox.ledger.records("payments") == []
        assert (await talk.done(f"GET /invoices/{made}"))["invoice"]["payments"] == []


async def test_one_invoice_named_twice_is_not_paid_twice() -> None:
    async with talking() as talk:
        ann = await talk.customer()
        made = await talk.open_invoice(ann, "A-1")
        assert (await talk.pay(ann, "120", (made, "60"), (made, "60")))[0] == 400
        assert (await talk.pay(ann, "100", (made, "60"), (made, "40")))[0] == 201


async def test_a_payment_pays_for_its_own_customer() -> None:
    async with talking() as talk:
        ann, bob = await talk.customer("Ann"), await talk.customer("Bob")
        made = await talk.open_invoice(ann, "A-1")
        assert (await talk.pay(bob, "100", (made, "100")))[0] == 400


async def test_equal_reference_numbers_are_accepted_and_seen_in_the_ledger() -> None:
    async with talking() as talk:
        ann = await talk.customer()
        made = await talk.open_invoice(ann, "A-1")
        await talk.pay(ann, "50", (made, "50"))
        await talk.pay(ann, "50", (made, "50"))
        assert talk.sandbox.ledger.duplicates()["payments"] == ["P1"]


async def test_what_is_not_applied_becomes_credit() -> None:
    async with talking() as talk:
        ann = await talk.customer()
        made = await talk.open_invoice(ann, "A-1")
        _, told = await talk.pay(ann, "130", (made, "100"))
        customer = (await talk.done(f"GET /customers/{ann}"))["customer"]
        assert customer["unused_credits"] == Decimal("30.00")
        (row,) = talk.sandbox.ledger.records("payments")
        assert row["unused_amount"] == Decimal("30.00")
        path = f"/payments/{told['payment']['payment_id']}"
        body: dict[str, Any] = {"customer_id": ann, "payment_mode": "cash", "amount": 80}
        body |= {"invoices": [{"invoice_id": made, "amount_applied": 80}]}
        await talk.done(f"PUT {path}", body)
        shown = (await talk.done(f"GET /invoices/{made}"))["invoice"]
        assert (shown["balance"], len(shown["payments"])) == (Decimal("20.00"), 1)
        over = {**body, "invoices": [{"invoice_id": made, "amount_applied": 81}]}
        assert (await talk.refused(f"PUT {path}", over))[0] == 400
        assert (await talk.done(f"GET /invoices/{made}"))["invoice"]["balance"] == 20
        await talk.done(f"DELETE {path}")
        assert (await talk.done(f"GET /invoices/{made}"))["invoice"]["balance"] == 100
        customer = (await talk.done(f"GET /customers/{ann}"))["customer"]
        assert (customer["outstanding"], customer["unused_credits"]) == (100, 0)
        assert talk.sandbox.ledger.deletions == 1


async def test_payment_modes_are_codes() -> None:
    async with talking() as talk:
        body: dict[str, Any] = {"customer_id": await talk.customer(), "amount": 5}
        body |= {"payment_mode": "Bank Transfer"}
        assert await talk.refused("POST /payments", body) == (400, 4)
        await talk.done("POST /payments", {**body, "payment_mode": "others"})


async def test_collecting_and_refunding_are_counted_against_the_client() -> None:
    async with talking() as talk:
        ann = await talk.customer()
        made = await talk.open_invoice(ann, "A-1")
        told = (await talk.done(f"POST /invoices/{made}/collect", {}))["payment"]
        assert (await talk.done(f"GET /invoices/{made}"))["invoice"]["status"] == "paid"
        await talk.done(f"POST /payments/{told['payment_id']}/refunds", {"amount": 10})
        ledger = talk.sandbox.ledger
        assert (ledger.charges, ledger.refunds) == (1, 1)


async def test_transactions_show_invoices_and_payments_of_a_customer() -> None:
    async with talking() as talk:
        ann, bob = await talk.customer("Ann"), await talk.customer("Bob")
        made = await talk.open_invoice(ann, "A-1")
        await talk.open_invoice(bob, "B-1")
        await talk.pay(ann, "20.50", (made, "20.50"))

        async def kinds(wanted: str) -> list[tuple[str, str, str]]:
            told = await talk.done("GET /transactions", customer_id=ann, filter_by=wanted)
            rows = told["transactions"]
            return [(row["type"], row["reference_id"], row["amount"]) for row in rows]

        payment, invoice = ("payment", "P1", "20.50"), ("invoice", "A-1", "100.00")
        assert await kinds("TransactionType.PAYMENT") == [payment]
        assert await kinds("TransactionType.INVOICE") == [invoice]
        assert sorted(await kinds("TransactionType.All")) == [invoice, payment]
