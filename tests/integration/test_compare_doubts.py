"""What a comparison does not know is in doubt: nothing is made for it, nothing of it is sent."""

import asyncio
from typing import Any

from integration.compare_kit import MAPPING, Scene, person, running, story, writes
from zohosync.sandbox import Fault, Faults
from zohosync.store.comparisons import Comparisons

PLAN = {"plan_code": "fibre", "name": "Fibre", "recurring_price": 100, "interval": 1}


def service(scene: Scene, customer: str, **more: Any) -> str:
    """A subscription that somebody made in Zoho, with its product and plan if need be."""
    if not scene.sandbox.ledger.records("plans"):
        product = scene.sandbox.by_hand("POST", "products", {"name": "Access"})["product"]
        more_of = {"interval_unit": "months", "product_id": product["product_id"]}
        scene.sandbox.by_hand("POST", "plans", {**PLAN, **more_of})
    plan = {"plan_code": "fibre", "quantity": more.pop("quantity", 1)}
    body = {"customer_id": customer, "plan": plan, "starts_at": "2099-01-01", **more}
    made = scene.sandbox.by_hand("POST", "subscriptions", body)["subscription"]
    return str(made["subscription_id"])


async def touch(scene: Scene, kind: str, key: str = "1") -> None:
    await scene.sql(f"select zohosync.mark('{kind}', '{key}', 10)")
    await scene.work()


def test_a_child_of_what_is_in_doubt_is_in_doubt_too(database_url: str) -> None:
    async def tell(scene: Scene) -> None:
        first = person(scene.sandbox, "Ada", "ada@example.com")
        person(scene.sandbox, "Ada B", "ada@example.com")
        mine = service(scene, first)
        await scene.sql(
            "insert into people values ('1', 'Ada', 'ada@example.com')",
            "insert into services values (1, '1')",
        )
        await scene.compare("products", "plans", "customers", "subscriptions", link=True)
        assert (await scene.sorts("subscriptions"))["1"] == ("ambiguous", None)
        newest = (await scene.store.newest())["customers"]["comparison_id"]
        assert await scene.comparer.link("customers", newest, {"1": first}, by_hand=True) == ["1"]
        await touch(scene, "subscriptions")
        assert writes(scene.sandbox) == [], "its customer is settled, and it is not yet"
        await scene.compare("products", "plans", "customers", "subscriptions", link=True)
        assert (await scene.sorts("subscriptions"))["1"] == ("linked", mine)

    story(database_url, tell)


async def doubtful_customer(scene: Scene) -> str:
    """Two of one e-mail in Zoho, one here with a subscription; returns the id of the one here."""
    first = person(scene.sandbox, "Ada", "ada@example.com")
    person(scene.sandbox, "Ada B", "ada@example.com")
    await scene.sql(
        "insert into people values ('1', 'Ada', 'ada@example.com')",
        "insert into services values (1, '1')",
        *(f"select zohosync.mark('{kind}', '1', 10)" for kind in ("products", "plans")),
    )
    await scene.work()
    await scene.compare("products", "plans", "customers", "subscriptions", link=True)
    await touch(scene, "subscriptions")
    assert (await scene.sorts("subscriptions"))["1"] == ("ambiguous", None)
    return first


async def again(scene: Scene, per_day: int | None = None) -> str | None:
    async with running(scene.world):
        return await scene.sentinel([], per_day).look_again()


def test_what_was_held_for_its_parents_sake_is_compared_anew_once_that_is_settled(
    database_url: str,
) -> None:
    async def tell(scene: Scene) -> None:
        first = await doubtful_customer(scene)
        calls = len(scene.sandbox.ledger.calls())
        assert await again(scene) is None, "its customer is in doubt still"
        newest = (await scene.store.newest())["customers"]["comparison_id"]
        await scene.comparer.link("customers", newest, {"1": first}, by_hand=True)
        assert await again(scene, per_day=100) is None, "that is left to the night"
        assert len(scene.sandbox.ledger.calls()) == calls, "a question to Postgres alone"
        assert await again(scene, per_day=1_000) == (
            "compared subscriptions anew: what they may be was settled"
        )
        assert (await scene.sorts("subscriptions"))["1"] == ("only here", None)
        assert await again(scene) is None, "that is done"
        await scene.work()
        assert len(scene.sandbox.ledger.records("subscriptions")) == 1
        (row,) = await scene.rows("select status from zohosync.records where kind='subscriptions'")
        assert row["status"] == "synced"

    story(database_url, tell)


def test_a_child_is_compared_anew_when_a_person_says_that_its_parent_is_new(
    database_url: str,
) -> None:
    async def tell(scene: Scene) -> None:
        await doubtful_customer(scene)
        assert await scene.store.free("customers", {"1": None}) == ["1"]
        assert await again(scene) is not None
        await scene.work()
        customers = scene.sandbox.ledger.records("customers")
        (made,) = scene.sandbox.ledger.records("subscriptions")
        assert len(customers) == 3
        assert made["customer_id"] == customers[-1]["customer_id"]

    story(database_url, tell)


def test_nothing_is_compared_anew_while_it_is_compared_or_cannot_be(database_url: str) -> None:
    async def tell(scene: Scene) -> None:
        first = await doubtful_customer(scene)
        newest = (await scene.store.newest())["customers"]["comparison_id"]
        await scene.comparer.link("customers", newest, {"1": first}, by_hand=True)
        told = list[str]()
        sentinel = scene.sentinel(told)
        other = Comparisons(scene.world.database, scene.sandbox.organization_id, "other")
        async with running(scene.world), other.reading("subscriptions") as reading:
            assert str(await sentinel.look_again()).startswith("not now: ")
            await other.drop(reading)
        async with running(scene.world), asyncio.TaskGroup() as tasks:
            night = tasks.create_task(sentinel.look())
            await scene.clock.sleep(1)
            assert await sentinel.look_again() is None, "the night does it"
            assert not night.done()
        assert told == []
        assert (await scene.sorts("subscriptions"))["1"] == ("only here", None)
        assert await again(scene) is None

    story(
        database_url,
        tell,
        faults=Faults([Fault("slow", "GET /subscriptions", rate=1.0, seconds=5.0)]),
    )


def test_a_payment_in_doubt_is_not_compared_each_hour_because_its_invoice_is_linked(
    database_url: str,
) -> None:
    async def tell(scene: Scene) -> None:
        ada = person(scene.sandbox, "Ada", "ada@example.com")
        item = scene.sandbox.by_hand("POST", "items", {"name": "Goods", "rate": 1})["item"]
        line = {"product_id": item["item_id"], "name": "Goods", "price": 50, "quantity": 1}
        made = scene.sandbox.by_hand("POST", "invoices", {
            "customer_id": ada, "invoice_number": "B-1", "date": "2026-11-01",
            "due_date": "2026-11-01", "invoice_items": [line],
        })["invoice"]  # fmt: skip
        scene.sandbox.by_hand("POST", f"invoices/{made['invoice_id']}/converttoopen")
        use = [{"invoice_id": made["invoice_id"], "amount_applied": 50}]
        scene.sandbox.by_hand("POST", "payments", {
            "customer_id": ada, "amount": 50, "date": "2026-11-02", "payment_mode": "cash",
            "invoices": use,
        })  # fmt: skip
        await scene.sql(
            "insert into people values ('1', 'Ada', 'ada@example.com')",
            "insert into bills values (1, '1', 'B-1', 50, '2026-11-01')",
            "insert into paid values (1, 1, 50)",
        )
        await scene.compare("customers", "invoices", "payments", link=True)
        await touch(scene, "invoices")
        assert (await scene.sorts("payments"))["1"] == ("ambiguous", None)
        assert await again(scene) is None, "its invoice was linked all the time"

    story(database_url, tell)


def test_a_payment_is_compared_anew_once_the_invoice_that_was_in_doubt_is_settled(
    database_url: str,
) -> None:
    async def tell(scene: Scene) -> None:
        ada = person(scene.sandbox, "Ada", "ada@example.com")
        item = scene.sandbox.by_hand("POST", "items", {"name": "Goods", "rate": 1})["item"]
        line = {"product_id": item["item_id"], "name": "Goods", "price": 50, "quantity": 1}
        made = scene.sandbox.by_hand("POST", "invoices", {
            "customer_id": ada, "invoice_number": "OTHER-1", "date": "2026-11-01",
            "due_date": "2026-11-01", "invoice_items": [line],
        })["invoice"]  # fmt: skip
        scene.sandbox.by_hand("POST", f"invoices/{made['invoice_id']}/converttoopen")
        await scene.sql(
            "insert into people values ('1', 'Ada', 'ada@example.com')",
            "insert into bills values (1, '1', 'B-1', 50, '2026-11-01')",
            "insert into paid values (1, 1, 50)",
        )
        await scene.compare("customers", "invoices", "payments", link=True)
        assert (await scene.sorts("invoices"))["1"] == ("ambiguous", None)
        assert (await scene.sorts("payments"))["1"] == ("ambiguous", None)
        await touch(scene, "payments")
        assert await again(scene) is None, "its invoice is in doubt still"
        newest = (await scene.store.newest())["invoices"]["comparison_id"]
        its = {"1": str(made["invoice_id"])}
        assert await scene.comparer.link("invoices", newest, its, by_hand=True) == ["1"]
        assert "POST /payments" not in writes(scene.sandbox), "it may be paid in Zoho"
        assert await again(scene) == "compared payments anew: what they may be was settled"
        await scene.work()
        assert writes(scene.sandbox).count("POST /payments") == 1
        assert len(scene.sandbox.ledger.records("payments")) == 1

    story(database_url, tell)


def test_the_night_waits_for_whoever_else_compares(database_url: str) -> None:
    async def tell(scene: Scene) -> None:
        told = list[str]()
        other = Comparisons(scene.world.database, scene.sandbox.organization_id, "other")
        async with running(scene.world), other.reading("customers") as reading:
            async with asyncio.TaskGroup() as tasks:
                night = tasks.create_task(scene.sentinel(told).look())
                await scene.clock.sleep(30)
                await other.drop(reading)
            assert [each.kind for each in night.result()] == list(MAPPING)
        assert told == []

    story(database_url, tell)


def test_what_turns_out_to_be_another_ones_holds_nobody_any_more(database_url: str) -> None:
    async def tell(scene: Scene) -> None:
        there = person(scene.sandbox, "Ada", "other@example.com")
        await scene.sql(
            "insert into people values ('1', 'Ada', 'ada@example.com'), "
            "('2', 'Ada', 'bea@example.com')"
        )
        await scene.compare("customers", link=True)
        for key in "12":
            await touch(scene, "customers", key)
        assert writes(scene.sandbox) == [], "either may be she"
        newest = (await scene.store.newest())["customers"]["comparison_id"]
        await scene.comparer.link("customers", newest, {"1": there}, by_hand=True)
        assert await again(scene) is not None
        await scene.work()
        assert writes(scene.sandbox) == ["POST /customers"]
        assert await scene.sorts("customers") == {"1": ("linked", there), "2": ("only here", None)}

    story(database_url, tell)


def test_what_has_ended_on_one_side_only_is_not_taken_for_one(database_url: str) -> None:
    async def tell(scene: Scene) -> None:
        ada = person(scene.sandbox, "Ada", "ada@example.com")
        ended = service(scene, ada)
        scene.sandbox.by_hand("POST", f"subscriptions/{ended}/cancel")
        await scene.sql(
            "insert into people values ('1', 'Ada', 'ada@example.com')",
            "insert into services values (1, '1')",
        )
        await scene.compare("products", "plans", "customers", "subscriptions", link=True)
        assert (await scene.sorts("subscriptions"))["1"] == ("ambiguous", None)
        await touch(scene, "subscriptions")
        assert writes(scene.sandbox) == []

    story(database_url, tell)


def test_an_edit_of_a_linked_subscription_says_again_what_zoho_has(database_url: str) -> None:
    async def tell(scene: Scene) -> None:
        ada = person(scene.sandbox, "Ada", "ada@example.com")
        mine = service(scene, ada, quantity=3, auto_collect=True)
        await scene.sql(
            "insert into people values ('1', 'Ada', 'ada@example.com')",
            "insert into services values (1, '1')",
        )
        await scene.compare("products", "plans", "customers", "subscriptions", link=True)
        assert (await scene.sorts("subscriptions"))["1"] == ("linked", mine)
        await touch(scene, "subscriptions")
        assert writes(scene.sandbox) == [], "a mark without a change sends nothing"
        await scene.sql("update terms set days = 7")
        await touch(scene, "subscriptions")
        assert writes(scene.sandbox) == ["PUT /subscriptions/{subscription_id}"]
        (row,) = scene.sandbox.ledger.records("subscriptions")
        assert (row["plan"]["quantity"], row["auto_collect"]) == (3, True)
        assert row["payment_terms"] == 7

    terms = MAPPING["subscriptions"].replace(
        " from services s", ", t.days as payment_terms from services s, terms t"
    )
    schema = "create table terms (days int); insert into terms values (null)"
    story(database_url, tell, mapping={**MAPPING, "subscriptions": terms}, schema=schema)


def test_a_wrong_id_of_the_mapping_does_not_hide_who_it_is(database_url: str) -> None:
    async def tell(scene: Scene) -> None:
        ada = person(scene.sandbox, "Ada", "ada@example.com")
        await scene.sql("insert into people values ('1', 'Ada', 'ada@example.com', '999')")
        await scene.compare("customers", link=True)
        assert (await scene.sorts("customers"))["1"] == ("ambiguous", None)
        (held,) = await scene.rows("select rivals from zohosync.records")
        assert held["rivals"] == [ada]
        await scene.sql("update people set phone = null")  # the advice: correct or clear it
        await touch(scene, "customers")
        assert writes(scene.sandbox) == []

    seeded = "select p.id as key, p.name as display_name, p.email, p.phone as zoho_id from people p"
    story(database_url, tell, mapping={"customers": seeded}, live=True)


def test_a_row_that_became_somebody_else_since_is_not_linked(database_url: str) -> None:
    async def tell(scene: Scene) -> None:
        person(scene.sandbox, "Ada", "ada@example.com")
        await scene.sql("insert into people values ('1', 'Ada', 'ada@example.com')")
        found = await scene.compare("customers")
        await scene.sql("update people set email = 'bob@example.com', name = 'Bob'")
        assert await scene.link("customers", found["customers"].comparison_id) == []

    story(database_url, tell)
