"""Subscriptions, and the invoices that Zoho raises from them without being asked."""

from decimal import Decimal
from typing import Any

import pytest

from contract.talk import Talk, talking

DAY = 86400


async def subscribe(talk: Talk, customer: str, **more: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"customer_id": customer, "auto_collect": False, "reference_id": "zs:1"}
    body |= {"plan": {"plan_code": "fibre"}, **more}
    told: dict[str, Any] = (await talk.done("POST /subscriptions", body))["subscription"]
    return told


async def invoices(talk: Talk, subscription: dict[str, Any]) -> list[dict[str, Any]]:
    wanted = subscription["subscription_id"]
    rows: list[dict[str, Any]] = (await talk.done("GET /invoices", subscription_id=wanted))[
        "invoices"
    ]
    return rows[::-1]


async def sleep(talk: Talk, days: float) -> None:
    await talk.clock.sleep(days * DAY)
    await talk.sign_in()


async def test_a_live_subscription_raises_its_first_invoice_at_once() -> None:
    async with talking() as talk:
        await talk.plan("fibre", "499.99", tax_id=await talk.tax())
        ann = await talk.customer(payment_terms=7)
        made = await subscribe(talk, ann, plan={"plan_code": "fibre", "quantity": 2})
        assert (made["status"], made["customer"]["customer_id"]) == ("live", ann)
        assert (made["plan"]["plan_code"], made["plan"]["price"]) == ("fibre", Decimal("499.99"))
        assert made["interval"] == "1"
        child = (await talk.done(f"GET /invoices/{made['child_invoice_id']}"))["invoice"]
        assert (child["invoice_date"], child["due_date"]) == ("2026-03-10", "2026-03-17")
        assert child["number"] == "INV-000001"
        assert child["total"] == Decimal("1149.98")  # 999.98 and 150.00 tax
        assert child["status"] == "sent"
        assert child["invoice_items"][0]["code"] == "fibre"
        assert talk.sandbox.ledger.emails == 0


async def test_a_start_in_the_past_is_billed_for_its_current_term_only() -> None:
    async with talking() as talk:
        await talk.plan()
        made = await subscribe(talk, await talk.customer(), starts_at="2025-12-31")
        assert made["status"] == "live"
        assert made["current_term_starts_at"] == "2026-02-28"
        assert made["current_term_ends_at"] == "2026-03-31"
        (child,) = await invoices(talk, made)
        assert (child["invoice_date"], child["invoice_id"]) == (
            "2026-02-28",
            made["child_invoice_id"],
        )


async def test_a_start_in_the_future_waits_for_its_day() -> None:
    async with talking() as talk:
        await talk.plan()
        made = await subscribe(talk, await talk.customer(), starts_at="2026-03-12")
        assert (made["status"], made["child_invoice_id"]) == ("future", "")
        assert await invoices(talk, made) == []
        await sleep(talk, 2)
        (child,) = await invoices(talk, made)
        assert child["invoice_date"] == "2026-03-12"
        path = f"GET /subscriptions/{made['subscription_id']}"
        told = (await talk.done(path))["subscription"]
        assert (told["status"], told["child_invoice_id"]) == ("live", child["invoice_id"])


async def test_each_term_raises_an_invoice_also_when_nobody_looked() -> None:
    async with talking() as talk:
        await talk.plan()
        made = await subscribe(talk, await talk.customer())
        await talk.clock.sleep(75 * DAY)
        rows = talk.sandbox.ledger.records("invoices")
        assert [row["date"] for row in rows] == ["2026-03-10", "2026-04-10", "2026-05-10"]
        assert {row["subscription_id"] for row in rows} == {made["subscription_id"]}


async def test_cancelled_now_or_at_the_end_of_the_term() -> None:
    async with talking() as talk:
        await talk.plan()
        ann = await talk.customer()
        now, end = await subscribe(talk, ann), await subscribe(talk, ann)
        path = "POST /subscriptions/{}/cancel"
        told = await talk.done(path.format(now["subscription_id"]))
        assert told["subscription"]["status"] == "cancelled"
        await talk.done(path.format(now["subscription_id"]))  # harmless
        told = await talk.done(path.format(end["subscription_id"]), cancel_at_end="true")
        assert told["subscription"]["status"] == "non_renewing"
        await sleep(talk, 40)
        assert len(await invoices(talk, now)) == 1
        assert len(await invoices(talk, end)) == 1
        told = await talk.done(f"GET /subscriptions/{end['subscription_id']}")
        assert told["subscription"]["status"] == "cancelled"
        body = {"customer_id": ann, "plan": {"plan_code": "fibre"}}
        path = f"PUT /subscriptions/{now['subscription_id']}"
        assert (await talk.refused(path, body))[0] == 400


async def test_billing_cycles_run_out() -> None:
    async with talking() as talk:
        await talk.plan(billing_cycles=2)
        made = await subscribe(talk, await talk.customer())
        await sleep(talk, 100)
        assert len(await invoices(talk, made)) == 2
        told = await talk.done(f"GET /subscriptions/{made['subscription_id']}")
        assert told["subscription"]["status"] == "expired"


async def test_trial_and_setup_fee_come_from_the_plan_unless_excluded() -> None:
    async with talking() as talk:
        await talk.plan(trial_period=14, setup_fee=50)
        ann = await talk.customer()
        trial = await subscribe(talk, ann)
        assert (trial["status"], await invoices(talk, trial)) == ("trial", [])
        plan = {"plan_code": "fibre", "exclude_trial": True, "exclude_setup_fee": True}
        plain = await subscribe(talk, ann, plan=plan)
        (child,) = await invoices(talk, plain)
        assert child["total"] == 499
        await sleep(talk, 14)
        (child,) = await invoices(talk, trial)
        assert (child["invoice_date"], child["total"]) == ("2026-03-24", 549)


async def test_collecting_by_itself_is_a_charge() -> None:
    async with talking() as talk:
        await talk.plan()
        ann = await talk.customer()
        body: dict[str, Any] = {"customer_id": ann, "plan": {"plan_code": "fibre"}}
        await talk.done("POST /subscriptions", {**body, "auto_collect": False})
        assert talk.sandbox.ledger.charges == 0
        await talk.done("POST /subscriptions", body)  # absent means true
        made = await talk.done("POST /subscriptions", {**body, "auto_collect": True})
        path = f"POST /subscriptions/{made['subscription']['subscription_id']}"
        await talk.done(f"{path}/autocollect", {"auto_collect": True})
        await talk.done(f"{path}/charge", {"amount": 5, "description": "Extra"})
        assert talk.sandbox.ledger.charges == 4


async def test_subscriptions_are_found_by_reference_customer_and_state() -> None:
    async with talking() as talk:
        await talk.plan()
        ann, bob = await talk.customer("Ann"), await talk.customer("Bob")
        await subscribe(talk, ann, reference_id="zs:home:1")
        await subscribe(talk, ann, reference_id="zs:home:11")
        await subscribe(talk, bob, reference_id="zs:home:2", starts_at="2027-01-01")

        async def found(**query: Any) -> list[str]:
            rows = (await talk.done("GET /subscriptions", **query))["subscriptions"]
            return [row["reference_id"] for row in rows]

        assert await found(reference_contains="zs:home:1") == ["zs:home:11", "zs:home:1"]
        assert await found(customer_id=bob) == ["zs:home:2"]
        assert await found(filter_by="SubscriptionStatus.FUTURE") == ["zs:home:2"]
        assert len(await found(filter_by="SubscriptionStatus.All")) == 3
        assert len(await found(filter_by="SubscriptionMode.OFFLINE")) == 3
        for wrong in ("Status.live", "SubscriptionStatus.Alive"):
            assert await talk.refused("GET /subscriptions", filter_by=wrong) == (400, 4)
        (row,) = (await talk.done("GET /subscriptions", customer_id=bob))["subscriptions"]
        assert (row["customer_name"], row["plan_name"]) == ("Bob", "Fibre")
        assert not {"plan", "customer", "child_invoice_id", "custom_fields"} & set(row)


async def test_a_plan_changes_at_once_or_at_the_end_of_the_term() -> None:
    async with talking() as talk:
        await talk.plan("fibre", "100")
        await talk.plan("turbo", "200")
        ann = await talk.customer()
        made = await subscribe(talk, ann)
        path = f"PUT /subscriptions/{made['subscription_id']}"
        body: dict[str, Any] = {"customer_id": ann, "plan": {"plan_code": "turbo"}}
        told = (await talk.done(path, {**body, "end_of_term": True}))["subscription"]
        assert (told["plan"]["plan_code"], told["end_of_term"]) == ("fibre", True)
        await sleep(talk, 31)
        told = (await talk.done(f"GET /subscriptions/{made['subscription_id']}"))["subscription"]
        assert (told["plan"]["plan_code"], told["end_of_term"]) == ("turbo", False)
        assert [row["total"] for row in await invoices(talk, made)] == [100, 200]
        plan = {"plan_code": "turbo", "price": 150, "quantity": 2}
        told = (await talk.done(path, {**body, "plan": plan}))["subscription"]
        assert told["plan"]["total"] == 300
        reference = f"POST /subscriptions/{made['subscription_id']}/reference"
        await talk.done(reference, {"reference_id": "zs:other"})
        assert (await talk.done("GET /subscriptions", reference_contains="zs:other"))[
            "subscriptions"
        ]


async def test_customer_and_subscription_can_come_in_one_call() -> None:
    async with talking() as talk:
        await talk.plan()
        body: dict[str, Any] = {"plan": {"plan_code": "fibre"}, "auto_collect": False}
        body |= {"customer": {"display_name": "Cem", "email": "cem@example.com"}}
        told = (await talk.done("POST /subscriptions", body))["subscription"]
        assert told["customer"]["display_name"] == "Cem"
        assert len(talk.sandbox.ledger.records("customers")) == 1


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"customer_id": "460"}, 1002),
        ({"plan": {"plan_code": "none"}}, 1002),
        ({"plan": None}, 6),
        ({"plan": {"plan_code": "fibre", "quantity": 0}}, 4),
        ({"plan": {"plan_code": "fibre", "billing_cycles": 0}}, 4),
        ({"plan": {"plan_code": "fibre", "tax_id": "460"}}, 4),
        ({"starts_at": "tomorrow"}, 4),
    ],
)
async def test_a_subscription_that_is_wrong_is_refused(changes: dict[str, Any], code: int) -> None:
    async with talking() as talk:
        await talk.plan()
        body: dict[str, Any] = {"customer_id": await talk.customer(), "auto_collect": False}
        body |= {"plan": {"plan_code": "fibre"}} | changes
        assert await talk.refused("POST /subscriptions", body) == (400, code)
        assert talk.sandbox.ledger.records("subscriptions") == []
        assert talk.sandbox.ledger.records("invoices") == []
