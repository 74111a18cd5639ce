"""Every attempt is in the log, whatever its kind and its end, with what is measured by it."""

import asyncio
from typing import Any

from zohosync.clock import Chance
from zohosync.core.kinds import KINDS, MAPPED
from zohosync.sandbox import Fault, Faults, Sandbox, SandboxLimits
from zohosync.store.database import Database
from zohosync.testing.virtual import VirtualClock, run
from zohosync.testing.world import World, WorldSettings, world

MAPPING = {
    "products": "select 1 as key, 'Hosting' as name",
    "plans": "select 1 as key, 1 as product_key, 'gold' as plan_code, 'Gold' as name, "
    "100 as recurring_price, 1 as interval",
    "customers": "select 1 as key, 'Ada' as display_name, 'ada@example.com' as email "
    "union all select 2, 'Nobody', null",
    "subscriptions": 'select 1 as key, 1 as customer_key, 1 as plan_key, 1 as "plan.quantity"',
    "invoices": "select 1 as key, 1 as customer_key, 'INV-1' as invoice_number, 'open' as state, "
    "date '2026-03-01' as date, "
    """'[{"name": "Line", "price": 10, "quantity": 1}]'::jsonb as invoice_items""",
    "payments": "select 1 as key, 1 as customer_key, 10 as amount, 'cash' as payment_mode, "
    "date '2026-03-01' as date, 'R-1' as reference_number, "
    """'[{"invoice_key": 1, "amount_applied": 10}]'::jsonb as invoices""",
}
LOG = """
select kind, key, zoho_entity_type, zoho_entity_id, step, status, attempt_number, error_class,
       error_message, duration_ms, calls
  from zohosync.sync_logs order by log_id
"""


async def log_of(joined: World) -> list[dict[str, Any]]:
    for kind in MAPPED:
        await joined.source.mark_all(kind, priority=1)
    await joined.service.run_until_idle(asyncio.Event(), poll_s=20.0)
    async with joined.database.transaction() as transaction:
        return await transaction.fetch_sql(LOG)


def test_every_kind_is_logged_as_what_it_is_with_its_end_its_time_and_its_calls(
    database_url: str,
) -> None:
    async def main() -> list[dict[str, Any]]:
        clock = VirtualClock()
        sandbox = Sandbox(
            clock=clock, chance=Chance(7), limits=SandboxLimits.lifted(), latency_s=(0.2, 0.2),
            faults=Faults([Fault("error_before_commit", "POST /oauth*")]),
        )  # fmt: skip
        database = await Database.open(database_url, now=clock.now)
        settings = WorldSettings(pace=30.0).working(slots=1, debounce_s=0.0)
        async with world(database, MAPPING, sandbox, clock=clock, settings=settings) as joined:
            log = await log_of(joined)
        await database.close()
        return log

    log = run(main)
    assert {row["kind"]: row["zoho_entity_type"] for row in log} == {
        kind: KINDS[kind].singular for kind in {*MAPPED, "items"}
    }
    done = {row["kind"] for row in log if row["status"] == "success"}
    assert done == {*MAPPED, "items"}
    for row in log:
        assert row["duration_ms"] >= 200 * row["calls"]
        assert (row["error_class"] is None) == (row["status"] in ("success", "pending")), row
        assert (row["zoho_entity_id"] is None) == (row["calls"] == 0), row
    (nobody,) = [row for row in log if (row["kind"], row["key"]) == ("customers", "2")]
    assert (nobody["status"], nobody["error_class"]) == ("failed", "validation")
    assert "email" in nobody["error_message"]
    first = log[0]  # the token was not to be had: nothing had left
    assert (first["status"], first["error_class"]) == ("retrying", "network_error")
    tries = [row for row in log if (row["kind"], row["key"]) == (first["kind"], "1")]
    assert [row["status"] for row in tries] == ["retrying", "success"]
    assert [row["attempt_number"] for row in log] == [
        2 if row is tries[1] else 1 for row in log
    ]  # what waits for its parent has spent none
