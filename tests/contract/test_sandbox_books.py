"""Customers, products, plans, items, taxes: what may be written and how it reads back."""

from decimal import Decimal
from typing import Any

import pytest

from contract.talk import talking


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"display_name": "Ann"}, 6),
        ({"email": "a@example.com"}, 6),
        ({"display_name": " ", "email": "a@example.com"}, 6),
        ({"display_name": "Ann", "email": "nobody"}, 4),
        ({"display_name": {"x": 1}, "email": "a@example.com"}, 4),
        ({"display_name": "x" * 201, "email": "a@example.com"}, 15),
        ({"display_name": "Ann", "email": "a@example.com", "billing_address": "Oslo"}, 4),
    ],
)
async def test_a_customer_needs_a_name_and_an_address_to_write_to(
    body: dict[str, Any], code: int
) -> None:
    async with talking() as talk:
        assert await talk.refused("POST /customers", body) == (400, code)


async def test_duplicate_customers_are_allowed_unless_the_organisation_forbids_names() -> None:
    async with talking() as talk:
        assert await talk.customer("Ann") != await talk.customer("Ann")
        found = await talk.done("GET /customers", email="ANN@example.com")
        assert len(found["customers"]) == 2
    async with talking(allow_duplicate_names=False) as talk:
        await talk.customer("Ann")
        bob = await talk.customer("Bob")
        body: dict[str, Any] = {"display_name": "ann", "email": "b@example.com"}
        assert await talk.refused("POST /customers", body) == (400, 3062)
        assert await talk.refused(f"PUT /customers/{bob}", body) == (400, 3062)
        await talk.done(f"PUT /customers/{bob}", {**body, "display_name": "Bob"})


async def test_a_customers_list_row_lacks_notes_and_custom_fields() -> None:
    async with talking() as talk:
        ann = await talk.customer(notes="zs:1", custom_fields=[{"label": "Key", "value": "7"}])
        (row,) = (await talk.done("GET /customers"))["customers"]
        assert not {"notes", "custom_fields", "status", "billing_address"} & set(row)
        shown = (await talk.done(f"GET /customers/{ann}"))["customer"]
        assert shown["notes"] == "zs:1"
        assert shown["custom_fields"][0]["value"] == "7"


async def test_a_customer_update_leaves_alone_what_it_does_not_name() -> None:
    async with talking() as talk:
        ann = await talk.customer(phone="1", billing_address={"city": "Oslo", "zip": "0150"})
        body: dict[str, Any] = {"display_name": "Anna", "email": "anna@example.com"}
        body |= {"billing_address": {"zip": "0151"}}
        await talk.done(f"PUT /customers/{ann}", body)
        shown = (await talk.done(f"GET /customers/{ann}"))["customer"]
        assert (shown["display_name"], shown["phone"]) == ("Anna", "1")
        assert (shown["billing_address"]["city"], shown["billing_address"]["zip"]) == (
            "Oslo",
            "0151",
        )
        assert (await talk.done("GET /customers", email="anna@example.com"))["customers"]
        assert not (await talk.done("GET /customers", email="ann@example.com"))["customers"]
        assert await talk.refused(f"PUT /customers/{ann}", {"phone": "2"}) == (400, 6)


async def test_customers_rest_and_wake() -> None:
    async with talking() as talk:
        ann = await talk.customer()
        await talk.done(f"POST /customers/{ann}/markasinactive")
        await talk.done(f"POST /customers/{ann}/markasinactive")
        assert (await talk.done(f"GET /customers/{ann}"))["customer"]["status"] == "inactive"
        rows = (await talk.done("GET /customers", filter_by="Status.Active"))["customers"]
        assert rows == []
        await talk.done(f"POST /customers/{ann}/markasactive")
        assert (await talk.done(f"GET /customers/{ann}"))["customer"]["status"] == "active"


async def test_custom_fields_must_exist_in_the_organisation() -> None:
    async with talking(custom_fields=("Sync key",)) as talk:
        await talk.customer(custom_fields=[{"label": "Sync key", "value": "1"}])
        body: dict[str, Any] = {"display_name": "B", "email": "b@example.com"}
        body |= {"custom_fields": [{"label": "Other", "value": "1"}]}
        assert await talk.refused("POST /customers", body) == (400, 120129)


async def test_a_customer_with_transactions_is_not_deleted() -> None:
    async with talking() as talk:
        ann, bob = await talk.customer("Ann"), await talk.customer("Bob")
        await talk.invoice(ann, "A-1")
        assert (await talk.refused(f"DELETE /customers/{ann}"))[0] == 400
        await talk.done(f"DELETE /customers/{bob}")
        assert await talk.refused(f"GET /customers/{bob}") == (404, 1002)
        assert talk.sandbox.ledger.deletions == 1


async def test_plans_are_found_by_code_and_not_by_id() -> None:
    async with talking() as talk:
        code = await talk.plan("Fibre 100/50 ü", tax_id=await talk.tax())
        reply = await talk.client.get("/billing/v1/plans/Fibre%20100%2F50%20%C3%BC")
        assert reply.json()["plan"]["plan_code"] == code
        assert (await talk.refused("GET /plans/4600000000000000065"))[0] == 404


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"billing_cycles": 0}, 4),
        ({"interval": 0}, 4),
        ({"interval": 10**12}, 4),
        ({"interval_unit": "fortnights"}, 4),
        ({"product_id": "460"}, 1002),
        ({"tax_id": "460"}, 4),
        ({"recurring_price": None}, 6),
        ({"plan_code": "taken"}, 1001),
    ],
)
async def test_a_plan_that_is_wrong_is_refused(changes: dict[str, Any], code: int) -> None:
    async with talking() as talk:
        await talk.plan("taken")
        product = (await talk.done("GET /products"))["products"][0]["product_id"]
        body: dict[str, Any] = {
            "plan_code": "new",
            "name": "New",
            "recurring_price": 5,
            "interval": 1,
        }
        body |= {"product_id": product} | changes
        assert await talk.refused("POST /plans", body) == (400, code)


async def test_a_plan_update_wants_its_main_fields_again() -> None:
    async with talking() as talk:
        await talk.plan("fibre", description="fast")
        assert await talk.refused("PUT /plans/fibre", {"recurring_price": 5}) == (400, 6)
        body: dict[str, Any] = {
            "plan_code": "fibre",
            "name": "Fibre",
            "recurring_price": 5,
            "interval": 1,
        }
        await talk.done("PUT /plans/fibre", body)
        plan = (await talk.done("GET /plans/fibre"))["plan"]
        assert (plan["recurring_price"], plan["description"]) == (Decimal("5.00"), "fast")
        assert plan["billing_cycles"] == -1
        assert (await talk.refused("PUT /plans/fibre", {**body, "plan_code": "x"})) == (400, 4)
        await talk.done("POST /plans/fibre/markasinactive")
        rows = (await talk.done("GET /plans", filter_by="PlanStatus.ACTIVE"))["plans"]
        assert rows == []
        rows = (await talk.done("GET /plans", filter_by="Status.Active"))["plans"]
        assert len(rows) == 1  # a wrong prefix filters nothing


async def test_an_sku_stands_once_and_items_are_found_by_name() -> None:
    async with talking() as talk:
        work = await talk.item("Work at site", sku="W1", tax_id=await talk.tax())
        body: dict[str, Any] = {"name": "Other", "rate": 1, "sku": "w1"}
        assert await talk.refused("POST /items", body) == (400, 1001)
        await talk.item("Other")
        found = (await talk.done("GET /items", name="work at site"))["items"]
        assert [row["item_id"] for row in found] == [work]
        assert found[0]["tax_percentage"] == "15"
        assert len((await talk.done("GET /items", name_contains="T"))["items"]) == 2
        await talk.done(f"POST /items/{work}/inactive")
        assert (await talk.done(f"GET /items/{work}"))["item"]["status"] == "inactive"


async def test_products_are_listed_and_renamed() -> None:
    async with talking() as talk:
        made = (await talk.done("POST /products", {"name": "Net"}))["product"]["product_id"]
        await talk.done(f"PUT /products/{made}", {"name": "Network"})
        assert (await talk.done(f"GET /products/{made}"))["product"]["name"] == "Network"
        await talk.done(f"POST /products/{made}/markasinactive")
        (row,) = (await talk.done("GET /products"))["products"]
        assert (row["name"], row["status"]) == ("Network", "inactive")
