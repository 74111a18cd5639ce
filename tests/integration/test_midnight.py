"""The day's limit around midnight, the remote's clock ahead of ours and behind, in virtual time."""

import asyncio

import pytest

from zohosync.clock import Chance
from zohosync.core.governor import Limits
from zohosync.sandbox import Sandbox, SandboxLimits
from zohosync.store.database import Database
from zohosync.testing.virtual import VirtualClock, run
from zohosync.testing.world import ZONE, World, WorldSettings, world

MAPPING = {
    "customers": "select n as key, 'C' || n as display_name, 'c@example.com' as email "
    "from generate_series(1, 40) n",
}
DAY = 15
MIDNIGHT_S = 16 * 3_600.0
"""Virtual time starts at 06:00 UTC; the organisation lives two hours ahead of it."""


def days(url: str, *, skew_s: float, start_s: float, latency_s: float) -> Sandbox:
    """Three days of a backlog that takes more than two; returns what the remote saw."""

    async def main() -> Sandbox:
        clock = VirtualClock()
        sandbox = Sandbox(
            clock=VirtualClock(skew_s=skew_s),
            chance=Chance(7),
            limits=SandboxLimits(per_minute=None, in_flight=None, per_day=DAY),
            time_zone=ZONE,
            latency_s=(latency_s, latency_s),
        )
        database = await Database.open(url, now=clock.now)
        limits = Limits(per_minute=None, in_flight=2, per_day=DAY)
        settings = WorldSettings(limits=limits, pace=600.0).working(
            slots=4, lease_s=3_600.0, heartbeat_s=900.0, poll_s=600.0
        )
        async with world(database, MAPPING, sandbox, clock=clock, settings=settings) as joined:
            await clock.sleep(start_s)
            await joined.source.mark_all("customers", priority=1)
            await for_days(joined, clock, 2.8)
        await database.close()
        return sandbox

    return run(main)


async def for_days(joined: World, clock: VirtualClock, days: float) -> None:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(joined.service.run(stop))
        await clock.sleep(days * 86_400)
        stop.set()


@pytest.mark.parametrize("skew_s", [-20.0, 0.0, 20.0])
def test_a_day_that_was_spent_opens_again_without_one_refusal(
    database_url: str, skew_s: float
) -> None:
    sandbox = days(database_url, skew_s=skew_s, start_s=0, latency_s=0.1)
    assert sandbox.ledger.rate_limit_hits == 0
    assert len(sandbox.ledger.records("customers")) == 40


@pytest.mark.parametrize("skew_s", [-20.0, 0.0, 20.0])
def test_calls_that_cross_midnight_count_on_either_side_of_it(
    database_url: str, skew_s: float
) -> None:
    sandbox = days(database_url, skew_s=skew_s, start_s=MIDNIGHT_S - 5.0, latency_s=1.5)
    assert sandbox.ledger.rate_limit_hits == 0
    assert len(sandbox.ledger.records("customers")) == 40
