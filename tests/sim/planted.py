"""Wrongs to plant in a world where all is right, and what which judge has to say of each."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from sim.oracle_kit import Play, Stage
from zohosync.core.records import Ref

CENT = Decimal("0.01")
MINUTE = timedelta(minutes=1)


async def doubled_customer(stage: Stage) -> None:
    row = stage.remote("customers", display_name="Person 2")
    told = {"display_name": "Somebody", "email": "p2@example.com", "notes": row["notes"]}
    stage.sandbox.by_hand("POST", "/customers", told)


async def doubled_subscription(stage: Stage) -> None:
    row = stage.remote("subscriptions", status="live")
    body = {name: row[name] for name in ("customer_id", "reference_id", "plan")}
    stage.sandbox.by_hand("POST", "/subscriptions", body)


async def doubled_payment(stage: Stage) -> None:
    row = stage.remote("payments", reference_number="R-2")
    part = {"invoice_id": row["invoices"][0]["invoice_id"], "amount_applied": 20}
    body = {name: row[name] for name in ("customer_id", "payment_mode", "amount")}
    body |= {"reference_number": "R-2", "description": row["description"], "invoices": [part]}
    stage.sandbox.by_hand("POST", "/payments", body)


async def other_name(stage: Stage) -> None:
    stage.change("customers", {"display_name": "X"}, display_name="Person 2")


async def other_total(stage: Stage) -> None:
    total = stage.remote("invoices", invoice_number="B-5")["total"]
    stage.change("invoices", {"total": total + CENT}, invoice_number="B-5")


async def other_tax(stage: Stage) -> None:
    row = stage.row("invoices", invoice_number="B-5")
    row["invoice_items"][0]["tax_id"] = ""


async def other_plan(stage: Stage) -> None:
    row = stage.row("subscriptions", status="live")
    row["plan"] = {**row["plan"], "plan_code": "plan-l"}


async def other_quantity(stage: Stage) -> None:
    row = stage.row("subscriptions", status="live")
    row["plan"] = {**row["plan"], "quantity": 3}


async def other_state(stage: Stage) -> None:
    stage.change("invoices", {"state": "draft"}, invoice_number="B-5")


async def other_parts(stage: Stage) -> None:
    uses = stage.row("payments", reference_number="R-3")["invoices"]
    uses[0]["invoice_id"], uses[1]["invoice_id"] = uses[1]["invoice_id"], uses[0]["invoice_id"]


async def not_there(stage: Stage) -> None:
    stage.shelf("customers").drop(stage.row("customers", display_name="Person 3"))


async def unknown_marker(stage: Stage) -> None:
    told = {"display_name": "Z", "email": "z@example.com"}
    marker = stage.joined.source.marker(Ref("customers", "77"))
    stage.sandbox.by_hand("POST", "/customers", {**told, "notes": marker})


async def unknown_number(stage: Stage) -> None:
    customer = stage.remote("customers", display_name="Person 3")
    line = {"name": "Use", "price": 1, "product_id": stage.remote("items")["item_id"]}
    body = {"customer_id": customer["customer_id"], "date": "2026-11-22", "invoice_items": [line]}
    stage.sandbox.by_hand("POST", "/invoices", body)


async def another_customers_invoice(stage: Stage) -> None:
    other = stage.remote("customers", display_name="Person 2")["customer_id"]
    row = stage.row("payments", reference_number="R-1")
    row["customer_id"] = other
    stage.touch("payments", row["payment_id"], "edited")


async def paid_too_much(stage: Stage) -> None:
    row = stage.row("payments", reference_number="R-2")
    row["amount"] = row["invoices"][0]["amount_applied"] = Decimal("99.00")
    stage.touch("payments", row["payment_id"], "edited")


async def crowded_minute(stage: Stage) -> None:
    stage.limited(per_minute=10)


async def crowded_second(stage: Stage) -> None:
    stage.limited(per_second=1)


async def crowded_day(stage: Stage) -> None:
    stage.limited(per_day=10)


async def crowded_sky(stage: Stage) -> None:
    stage.limited(in_flight=2)


async def crowded_mint(stage: Stage) -> None:
    stage.limited(mints=0)


async def own_block(stage: Stage) -> None:
    stage.scene = replace(stage.scene, blocks_scripted=0)


async def refused_in_flight(stage: Stage) -> None:
    stage.ledger.requests[-1].code = 1070


async def refused_day(stage: Stage) -> None:
    stage.ledger.requests[-1].code = 45


async def late_start(stage: Stage) -> None:
    """A call that begins while the block is known, and is refused in its turn."""
    refused = next(each for each in stage.ledger.requests if each.fault and each.code == 43)
    later = replace(refused, at=refused.at + MINUTE, arrived_s=refused.arrived_s + 60, fault=None)
    place = next(
        index
        for index, each in enumerate(stage.ledger.requests)
        if each.arrived_s > refused.arrived_s and each.code not in (43, 44)
    )
    assert stage.ledger.requests[place].at > later.at
    stage.ledger.requests.insert(place, replace(later, code=44))
    await stage.sql(
        "insert into zohosync.api_calls (org_id, door, lane, worker, operation, method, path,"
        " started_at, deadline, finished_at, counts_until, sent, status, code, kind, key)"
        f" select org_id, door, lane, worker, operation, method, path, {LATER}, deadline + {AGO},"
        f" finished_at + {AGO}, counts_until, sent, status, '44', kind, key"
        " from zohosync.api_calls where code = '43'"
    )


AGO = "interval '1 min'"
LATER = f"started_at + {AGO}"


def by_sql(*texts: str) -> Play:
    """A wrong in our own tables."""

    async def plant(stage: Stage) -> None:
        await stage.sql(*texts)

    return plant


def record(setting: str, kind: str = "customers", key: str = "5") -> Play:
    """A wrong in one of our records."""
    return by_sql(f"update zohosync.records set {setting} where kind = '{kind}' and key = '{key}'")


def waiting_on(kind: str, key: str) -> Play:
    """A payment that waits on something, as its last attempt says, too."""
    return by_sql(
        "update zohosync.records set status = 'waiting', error_message = 'waits', "
        f"waiting_kind = '{kind}', waiting_key = '{key}' where kind = 'payments' and key = '2'",
        "update zohosync.sync_logs set status = 'waiting', result = 'waiting' "
        "where kind = 'payments' and key = '2'",
    )


def ledger_counts(name: str) -> Play:
    """Something that Zoho counted."""

    async def plant(stage: Stage) -> None:
        setattr(stage.ledger, name, 1)

    return plant


def asked_for(method: str, path: str, **query: str) -> Play:
    """A request that arrived, with its row in the journal."""

    async def plant(stage: Stage) -> None:
        request = stage.ledger.requests[-1]
        request.method, request.path, request.query = method, path, query
        await stage.sql(
            f"update zohosync.api_calls set method = '{method}', path = '{path}' "
            "where call_id = (select max(call_id) from zohosync.api_calls)"
        )

    return plant


def knowing(**facts: Any) -> Play:
    """Something that the simulation counted and that does not fit."""

    async def plant(stage: Stage) -> None:
        stage.scene = replace(stage.scene, **facts)

    return plant


async def passed_over(stage: Stage) -> None:
    """A live record that was there long before its first call, and bulk calls in between."""
    await stage.sql(
        "update zohosync.records set created_at = created_at - interval '2 min' "
        "where kind = 'customers' and key = '10'",
        "insert into zohosync.api_calls (org_id, door, lane, worker, operation, method, path,"
        " started_at, deadline, finished_at, counts_until, sent) select org_id, 'api', 1, 'w',"
        " 'create', 'POST', '/plans', started_at - interval '30 s', started_at, started_at,"
        " started_at, true from zohosync.api_calls, generate_series(1, 60)"  # over any share
        " where kind = 'customers' and key = '10'",
    )


IN_FLIGHT = (
    "update zohosync.api_calls set finished_at = null, status = null,"
    " counts_until = zohosync.current_time() + interval '1 h' where call_id ="
    " (select max(call_id) from zohosync.api_calls where door = 'api')"
)
UNFORESEEN = (
    "update zohosync.sync_logs set result = 'eaten' where log_id ="
    " (select max(log_id) from zohosync.sync_logs)"
)
UNLOGGED = (
    "update zohosync.sync_logs set calls = 50 where log_id ="
    " (select max(log_id) from zohosync.sync_logs)"
)
MARK = "insert into zohosync.marks (kind, key, op, priority) values ('customers', '1', 'U', 5)"
OTHERS = """
insert into zohosync.usage_days (org_id, day, foreign_calls)
select org_id, '2026-11-22', 9 from zohosync.organizations
on conflict (org_id, day) do update set foreign_calls = 9
"""
TOKENS = "insert into zohosync.token_cache (token_key) values ('a'), ('b')"
TOKEN_HELD = "update zohosync.token_cache set refreshing_until = '2099-01-01'"
NOT_SENT = "update zohosync.api_calls set sent = false where door = 'accounts'"
ANSWERED = (
    "insert into zohosync.api_calls (org_id, door, lane, worker, operation, method, path, deadline,"
    " counts_until, finished_at, sent, status) select '10001', 'api', 5, 'w', 'read', 'GET',"
    " '/nowhere', c.now, c.now, c.now, true, 200 from (select zohosync.current_time() as now) c"
)

PLANTED: tuple[tuple[Play, dict[str, str]], ...] = (
    (doubled_customer, {"doubles": "customers zs:"}),
    (doubled_subscription, {"doubles": "subscriptions zs:"}),
    (doubled_payment, {
        "doubles": "payments R-2 is in Zoho 2 times",
        "money": "payments 2 of 20 arrived 2 times, 40.00 in all",
    }),
    (other_name, {"in step": "customers 2: display_name is Person 2 here and X in Zoho"}),
    (other_total, {"in step": "invoices 5: total is 51.75 here and 51.76 in Zoho"}),
    (other_tax, {"in step": "invoices 5: invoice_items is"}),
    (other_plan, {"in step": "subscriptions 1: plan is"}),
    (other_quantity, {"in step": "subscriptions 1: plan is"}),
    (other_state, {"in step": "invoices 5: state is open here and draft in Zoho"}),
    (other_parts, {"in step": "payments 3: invoices is", "money": "payments 3 pays"}),
    (not_there, {"in step": "customers 3 is not in Zoho: synced (no message)"}),
    (record("zoho_id = '1'"), {"in step": "customers 5: the link is 1 here"}),
    (unknown_marker, {"in step": "no row here ever named it"}),
    (unknown_number, {"in step": "no row here ever named it"}),
    (another_customers_invoice, {"money": "R-1 is applied to another customer's invoice B-1"}),
    (paid_too_much, {"money": "invoice B-2 of 48.30 is paid with 99.00"}),
    (crowded_minute, {"limits": "calls within a minute, and 10 are allowed"}),
    (crowded_second, {"limits": "calls within a second, and 1 are allowed"}),
    (crowded_day, {"limits": "calls on 2026-11-22, and 10 are allowed"}),
    (crowded_sky, {"limits": "calls in flight, and 2 are allowed"}),
    (crowded_mint, {"limits": "token requests within 10 minutes, and 0 are allowed"}),
    (own_block, {"limits": "we caused 1 blocks"}),
    (by_sql(OTHERS), {"limits": "9 calls of others on 2026-11-22, and they made 0"}),
    (refused_in_flight, {"limits": "one call too many in flight (1070)"}),
    (refused_day, {"limits": "one call too many of the day (45)"}),
    (late_start, {"block": "1 calls started after the block"}),
    (by_sql(MARK), {"states": "1 marks were left"}),
    (by_sql(UNFORESEEN), {"states": "by 'eaten': not foreseen"}),
    (record("status = 'pending', due_at = null"), {"states": "nothing will move it"}),
    (record("status = 'pending', due_at = created_at"), {"states": "due since"}),
    (record("synced_version = 0"), {"states": "customers 5 is synced: version 0 of"}),
    (record("status = 'failed'"), {"states": "without a reason"}),
    (record("status = 'uncertain'"), {"states": "without an open intent"}),
    (record("status = 'waiting'"), {"states": "on nothing that has a name"}),
    (waiting_on("invoices", "2"), {"states": "on invoices 2, which is open in Zoho"}),
    (waiting_on("invoices", "99"), {"states": "of which there is no record"}),
    (ledger_counts("emails"), {"nothing forbidden": "1 emails"}),
    (ledger_counts("charges"), {"nothing forbidden": "1 charges"}),
    (ledger_counts("refunds"), {"nothing forbidden": "1 refunds"}),
    (ledger_counts("deletions"), {"nothing forbidden": "1 deletions"}),
    (asked_for("DELETE", "/customers/1"), {"nothing forbidden": "DELETE /customers/1"}),
    (asked_for("POST", "/invoices/1/email"), {"nothing forbidden": "POST /invoices/1/email"}),
    (asked_for("POST", "/invoices", send="true"), {"nothing forbidden": "POST /invoices"}),
    (record("status = 'syncing', lease_until = zohosync.current_time()"), {
        "leases": "customers 5 is held", "states": "customers 5 is syncing",
    }),
    (by_sql(TOKEN_HELD), {"leases": "a token is being refreshed"}),
    (by_sql(NOT_SENT), {"journal": "POST /oauth/v2/token"}),
    (by_sql(ANSWERED), {"journal": "was answered and never arrived"}),
    (by_sql(IN_FLIGHT), {"journal": "counts as in flight until"}),
    (by_sql(UNLOGGED), {"journal": "50 calls are logged"}),
    (by_sql("update zohosync.organizations set day_calls = 3"), {"journal": "3 are counted"}),
    (record("lease_epoch = 0"), {"journal": "customers 5: 3 attempts in 0 leases"}),
    (knowing(attempts_ended=9_999), {"journal": "9999 attempts ended"}),
    (knowing(calls_left=3), {"journal": "3 left"}),
    (by_sql(TOKENS), {"bounded": "3 tokens are kept, at most 2"}),
    (knowing(processes=0), {"bounded": "workers are kept, at most 0"}),
    (knowing(keys_named=3), {"bounded": "records are kept, at most 3"}),
    (passed_over, {"live": "customers 10 waited"}),
)  # fmt: skip
