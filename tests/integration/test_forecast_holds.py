"""A forecast is held against what then happens: the real engine, the sandbox, days in seconds."""

import asyncio
from datetime import timedelta

import pytest

from zohosync.clock import Chance
from zohosync.core.forecast import Forecast, forecast, remaining_s
from zohosync.core.governor import Limits
from zohosync.core.records import BULK
from zohosync.sandbox import Sandbox, SandboxLimits
from zohosync.store.database import Database
from zohosync.store.usage import Usage, limits_in_force
from zohosync.testing.virtual import VirtualClock, run
from zohosync.testing.world import ZONE, WorldSettings, world

MAPPING = {
    "customers": "select n as key, 'P ' || n as display_name, n || '@example.com' as email "
    "from generate_series(1, {}) n"
}


async def lived(
    url: str, people: int, limits: Limits, *, look_s: float
) -> tuple[Forecast, float, list[float]]:
    """The forecast of a backfill, the hours that it took, and how far off each ETA was."""
    clock = VirtualClock()
    sandbox = Sandbox(
        clock=clock, chance=Chance(7), time_zone=ZONE,
        limits=SandboxLimits(
            per_minute=limits.per_minute or 0, per_day=limits.per_day or 0,
            in_flight=limits.in_flight or 0,
        ),
    )  # fmt: skip
    database = await Database.open(url, now=clock.now)
    mapping = {kind: text.format(people) for kind, text in MAPPING.items()}
    settings = WorldSettings(limits=limits, pace=look_s).working(poll_s=look_s)
    async with world(database, mapping, sandbox, clock=clock, settings=settings) as joined:
        usage = Usage(database, sandbox.organization_id)
        standing = await usage.standing()
        assert standing is not None
        foreseen = forecast({BULK: people}, limits, standing)
        await joined.source.mark_all("customers", priority=BULK)
        began, stop = clock.now(), asyncio.Event()
        looks = []
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(joined.service.run(stop))
            while (done := len(sandbox.ledger.records("customers"))) < people:
                look = await usage.standing()
                assert look is not None
                in_force = limits_in_force({"limits": await told(database)})
                left_s = remaining_s(
                    people - done, in_force, look, done=done, calls=done, open_s=0.0
                )
                looks.append(clock.now() + timedelta(seconds=left_s or 0.0))
                await clock.sleep(look_s)
            ended = clock.now()
            stop.set()
        blocks = [call for call in sandbox.ledger.requests if call.status == 429]
        assert not blocks
    await database.close()
    hours = (ended - began).total_seconds() / 3_600
    return foreseen, hours, [(look - ended).total_seconds() / 3_600 for look in looks]


async def told(database: Database) -> dict[str, object]:
    async with database.transaction() as transaction:
        (row,) = await transaction.fetch_sql("select limits from zohosync.organizations")
        found: dict[str, object] = row["limits"]
        return found


@pytest.mark.slow
def test_minutes_by_the_minutes_limit(database_url: str) -> None:
    async def main() -> None:
        limits = Limits(per_minute=20, in_flight=5, per_day=5_000)
        foreseen, hours, off = await lived(database_url, 60, limits, look_s=10.0)
        assert foreseen.hours == pytest.approx(hours, abs=0.01)
        assert all(abs(each) <= 0.01 for each in off), "at every look it said the same end"

    run(main)


@pytest.mark.slow
def test_days_by_the_days_limit(database_url: str) -> None:
    async def main() -> None:
        limits = Limits(per_minute=100, in_flight=5, per_day=40)
        foreseen, hours, off = await lived(database_url, 100, limits, look_s=3_600.0)
        assert foreseen.hours == pytest.approx(hours, abs=1.05)
        assert all(abs(each) <= 1.05 for each in off), "at every look it said the same end"

    run(main)
