"""The gate against a database that fails it, and an accounts server that sends it away."""

import asyncio

from zohosync.clock import Chance
from zohosync.core.governor import DOWN_AFTER, OUTAGE, PROBE_FIRST_S, Limits
from zohosync.core.replies import Throttled, Unreachable
from zohosync.events import Event, OrganizationTouched
from zohosync.sandbox import Sandbox, SandboxLimits
from zohosync.store.database import Database
from zohosync.testing.virtual import VirtualClock, run
from zohosync.testing.world import World, WorldSettings, world
from zohosync.zoho.client import CallEnd, Ticket

MAPPING = {
    "customers": "select n as key, 'C' || n as display_name, 'c@example.com' as email "
    "from generate_series(1, 5) n",
}
# The first tries to close the organisation fail; a sequence outlives their rollbacks.
TROUBLE = """
create sequence tries;
create function trouble() returns trigger language plpgsql as $$ begin
  if new.closed_until is distinct from old.closed_until and nextval('tries') <= 2 then
    raise exception 'no'; end if;
  return new; end $$;
create trigger trouble before update on zohosync.organizations
  for each row execute function trouble();
"""


async def for_hours(joined: World, clock: VirtualClock, hours: float) -> None:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(joined.service.run(stop))
        await clock.sleep(hours * 3_600)
        stop.set()


def test_a_worker_outlives_a_database_that_fails_while_the_day_is_closed(database_url: str) -> None:
    async def main() -> Sandbox:
        clock = VirtualClock()
        sandbox = Sandbox(clock=clock, chance=Chance(7), limits=SandboxLimits.lifted())
        database = await Database.open(database_url, now=clock.now)
        settings = WorldSettings(limits=Limits(None, None, per_day=3), pace=600.0)
        settings = settings.working(slots=2, lease_s=600.0, heartbeat_s=300.0, poll_s=60.0)
        async with world(database, MAPPING, sandbox, clock=clock, settings=settings) as joined:
            async with database.transaction() as transaction:
                await transaction.execute_sql(TROUBLE)
            await joined.source.mark_all("customers", priority=1)
            await for_hours(joined, clock, 20)
        await database.close()
        return sandbox

    assert len(run(main).ledger.records("customers")) == 5


def test_the_token_door_stays_closed_as_long_as_it_is_told(database_url: str) -> None:
    async def main() -> float:
        clock = VirtualClock()
        sandbox = Sandbox(clock=clock, chance=Chance(7), limits=SandboxLimits.lifted())
        database = await Database.open(database_url, now=clock.now)
        async with world(database, MAPPING, sandbox, clock=clock) as joined:
            denied = CallEnd(Throttled("token", 7_200.0, "Access Denied"), 400, 9.0, sent=True)
            await joined.gate.finish(Ticket(0, 0.0, 30.0), denied)
        async with database.transaction() as transaction:
            (row,) = await transaction.fetch_sql(
                "select mints_closed_until, closed_until from zohosync.organizations"
            )
        await database.close()
        assert row["closed_until"] is None
        return float((row["mints_closed_until"] - clock.now()).total_seconds())

    assert run(main) == 7_200


def test_an_outage_says_that_zoho_does_not_answer(database_url: str) -> None:
    async def main() -> tuple[list[Event], list[tuple[str, float]]]:
        clock = VirtualClock()
        sandbox = Sandbox(clock=clock, chance=Chance(7), limits=SandboxLimits.lifted())
        database = await Database.open(database_url, now=clock.now)
        closed = []
        silence = CallEnd(Unreachable(False, "no connection"), None, 9.0, sent=False)
        async with world(database, MAPPING, sandbox, clock=clock) as joined:
            for _ in range(DOWN_AFTER + 2):  # the last ones were under way already
                await joined.gate.finish(Ticket(0, 0.0, 30.0), silence)
                due = await joined.records.next_due()
                if due.closed_for_s is not None:
                    closed.append((str(due.closed_reason), due.closed_for_s))
        await database.close()
        return joined.events, closed

    events, closed = run(main)
    assert closed == [(OUTAGE, PROBE_FIRST_S)] * 3
    told = [event for event in events if isinstance(event, OrganizationTouched)]
    assert told == [OrganizationTouched(OUTAGE, PROBE_FIRST_S)]
