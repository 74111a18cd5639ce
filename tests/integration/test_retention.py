"""Evidence is kept for a while and no longer; what a record still needs is kept for good."""

import asyncio
from typing import Any

from zohosync.clock import Chance
from zohosync.jobs import PRUNE_EVERY_S
from zohosync.sandbox import Sandbox, SandboxLimits
from zohosync.store.database import Database
from zohosync.store.upkeep import PRUNES, Upkeep
from zohosync.testing.virtual import VirtualClock, run
from zohosync.testing.world import WorldSettings, world

MAPPING = {"customers": "select n as key, 'P ' || n as display_name from generate_series(1, 3) n"}
# One call and one attempt a day for 200 days; of those long past, one is a record's open intent,
# one a closed intent that its record still names, and one the evidence of a double.
PAST = """
insert into zohosync.api_calls (org_id, door, lane, kind, key, lease_epoch, worker, operation,
  method, path, started_at, deadline, finished_at, counts_until, sent, status, intent_state)
select %(org_id)s, 'api', 5, 'customers', mod(n, 3) + 1, 1, 'w', 'create', 'POST', '/customers',
       t.at, t.at + interval '30 s', t.at + interval '1 s', t.at + interval '61 s', true, 201,
       case n when 7 then 'open' when 9 then 'duplicate' else 'closed' end
  from generate_series(1, 200) n,
       lateral (select zohosync.current_time() - (201.5 - n) * interval '1 day' as at) t;
insert into zohosync.sync_logs (org_id, kind, key, version, zoho_entity_type, step, status, result,
  attempt_number, duration_ms, calls, worker, created_at)
select org_id, kind, key, 1, 'customer', 'create', 'success', 'created', 1, 9, 1, 'w', started_at
  from zohosync.api_calls;
insert into zohosync.records (org_id, kind, key, version, status, intent_id)
select org_id, kind, key, 1, 'uncertain', call_id
  from (select *, row_number() over (order by call_id) as n from zohosync.api_calls) c
 where n in (7, 8)
"""
DAYS = """
select c.intent_state, (zohosync.current_time() - c.started_at) > interval '90 days' as old
  from zohosync.api_calls c where c.operation = 'create' order by c.call_id
"""


async def past(database: Database, org_id: str) -> None:
    async with database.transaction() as transaction:
        for statement in PAST.split(";"):
            await transaction.execute_sql(statement, {"org_id": org_id})


async def rows(database: Database, text: str) -> list[dict[str, Any]]:
    async with database.transaction() as transaction:
        return await transaction.fetch_sql(text)


def test_a_worker_lets_go_of_old_evidence_but_never_of_an_intent(database_url: str) -> None:
    async def main() -> None:
        clock = VirtualClock()
        sandbox = Sandbox(clock=clock, chance=Chance(7), limits=SandboxLimits.lifted())
        database = await Database.open(database_url, now=clock.now)
        settings = WorldSettings().working(poll_s=60.0)
        async with world(database, MAPPING, sandbox, clock=clock, settings=settings) as joined:
            await past(database, sandbox.organization_id)
            stop = asyncio.Event()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(joined.service.run(stop))
                await clock.sleep(PRUNE_EVERY_S + 30.0)
                stop.set()
            found = await rows(database, DAYS)
            young = [row for row in found if not row["old"]]
            old = [row["intent_state"] for row in found if row["old"]]
            attempts = "select count(*) as count from zohosync.sync_logs where step = 'create'"
            assert len(young) == (await rows(database, attempts))[0]["count"] == 89
            assert old == ["open", "closed", "duplicate"]
        await database.close()

    run(main)


async def test_old_evidence_goes_a_few_rows_at_a_time_and_the_rest_stays(
    database: Database,
) -> None:
    async with database.transaction() as transaction:
        await transaction.execute_sql(
            "insert into zohosync.organizations (org_id, data_center, mode, time_zone)"
            " values ('1', 'us', 'sandbox', 'UTC')"
        )
    await past(database, "1")
    assert await pruned(database, 90) == 111 - 3 + 111
    assert await pruned(database, 90) == 0
    found = await rows(database, DAYS)
    assert [row["intent_state"] for row in found[:3]] == ["open", "closed", "duplicate"]
    assert len(found) == 92
    assert await pruned(database, 8) == 82 + 82


async def pruned(database: Database, keep_days: int) -> int:
    """How many rows went, with one statement for each sort."""
    upkeep = Upkeep(database, "1", "w")
    queries = [query for names in PRUNES.values() for query in names]
    return sum([(await upkeep.prune(query, keep_days)).gone for query in queries])
