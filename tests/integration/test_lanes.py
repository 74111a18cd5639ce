"""Lanes, limits and blocks in the whole engine, in virtual time: what the sandbox sees."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from zohosync.bootstrap import open_service
from zohosync.clock import Chance
from zohosync.core.governor import PLANS, Limits
from zohosync.errors import LimitsUnreadableError, OrganizationGoneError
from zohosync.events import Event, Noted
from zohosync.sandbox import Sandbox, SandboxLimits
from zohosync.settings import load
from zohosync.store.database import Database, jsonb
from zohosync.store.organizations import change_limits
from zohosync.testing.virtual import VirtualClock, run
from zohosync.testing.world import World, WorldSettings, world
from zohosync.zoho.door import in_process

MAPPING = {
    "customers": "select n as key, 'C' || n as display_name, 'c@example.com' as email from numbers",
}
PREMIUM = PLANS["premium"]


@dataclass(slots=True)
class Desk:
    """A world under way, its clock and its sandbox."""

    joined: World
    database: Database
    clock: VirtualClock
    sandbox: Sandbox
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def mark(self, first: int, last: int, priority: int) -> None:
        await self.sql(
            "select zohosync.mark('customers', n::text, %(priority)s) "
            "from generate_series(%(first)s::int, %(last)s::int) n",
            first=first, last=last, priority=priority,
        )  # fmt: skip

    async def sql(self, text: str, **params: Any) -> list[dict[str, Any]]:
        async with self.database.transaction() as transaction:
            return await transaction.fetch_sql(text, params)

    def arrivals(self) -> list[float]:
        return [each.arrived_s for each in self.sandbox.ledger.calls()]

    def created(self) -> list[tuple[int, float]]:
        """The customers that were created, by key, and when their calls arrived."""
        ledger = self.sandbox.ledger
        names = {row["customer_id"]: row["display_name"] for row in ledger.records("customers")}
        calls = ledger.calls("POST /customers")
        return [(int(names[c.zoho_id][1:]), c.arrived_s) for c in calls if c.zoho_id in names]

    def waited_s(self, key: int, since_s: float) -> float:
        return dict(self.created())[key] - since_s


async def write_numbers(database: Database, count: int = 100_000) -> None:
    """The rows: a table with a key, so that reading one does not go through them all."""
    async with database.transaction() as transaction:
        await transaction.execute_sql(
            "create table numbers (n integer primary key); "
            f"insert into numbers select generate_series(1, {count}); analyze numbers"
        )


@asynccontextmanager
async def desk(
    url: str,
    limits: Limits = PREMIUM,
    theirs: SandboxLimits | None = None,
    poll_s: float = 2.0,
) -> AsyncIterator[Desk]:
    clock = VirtualClock()
    theirs = theirs or SandboxLimits(per_day=limits.per_day)
    sandbox = Sandbox(clock=clock, chance=Chance(7), limits=theirs, latency_s=(0.2, 0.4))
    database = await Database.open(url, now=clock.now)
    settings = WorldSettings(limits=limits, pace=poll_s * 60).working(
        lease_s=600.0, heartbeat_s=300.0, poll_s=poll_s
    )
    await write_numbers(database)
    async with world(database, MAPPING, sandbox, clock=clock, settings=settings) as joined:
        made = Desk(joined, database, clock, sandbox)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(joined.service.run(made.stop))
            yield made
            made.stop.set()
    await database.close()


def test_a_customer_does_not_wait_for_the_backfill(database_url: str) -> None:
    async def main() -> tuple[list[float], int, int]:
        async with desk(database_url, poll_s=0.5) as at:
            await at.mark(1, 400, 1)
            await at.clock.sleep(70)
            waits = []
            for key in range(1_001, 1_009):
                since_s = at.clock.monotonic()
                await at.mark(key, key, 10)
                await at.clock.sleep(7)
                waits.append(at.waited_s(key, since_s))
            return waits, at.sandbox.ledger.largest_window(), at.sandbox.ledger.rate_limit_hits

    waits, most, hits = run(main)
    assert max(waits) <= 1.5
    assert (hits, most <= 100) == (0, True)


def test_a_flood_of_live_work_leaves_the_backfill_its_share(database_url: str) -> None:
    async def main() -> list[int]:
        async with desk(database_url) as at:
            await at.mark(1, 100, 1)
            await at.mark(1_000, 1_500, 10)
            await at.clock.sleep(140)
            return [key for key, _ in at.created()]

    keys = run(main)
    assert 20 <= sum(key <= 100 for key in keys) <= 30  # a tenth of each minute, and a little
    assert len(keys) >= 190


def test_a_spent_share_of_the_day_closes_its_lane_and_nobody_elses(database_url: str) -> None:
    async def main() -> tuple[int, int, float, list[dict[str, Any]]]:
        async with desk(database_url, replace(PREMIUM, per_day=100)) as at:
            await at.mark(1, 200, 1)
            await at.clock.sleep(1_800)
            backfilled = len(at.sandbox.ledger.records("customers"))
            since_s = at.clock.monotonic()
            await at.mark(1_000, 1_000, 10)
            await at.clock.sleep(20)
            row = await at.sql("select closed_until, lanes_closed from zohosync.organizations")
            claimed = await at.sql("select count(*) from zohosync.sync_logs")
            return backfilled, claimed[0]["count"], at.waited_s(1_000, since_s), row

    backfilled, attempts, waited_s, row = run(main)
    assert 88 <= backfilled <= 92  # fifteen of a hundred are for live, fewer at ten in the morning
    assert attempts <= backfilled + 30  # what cannot be sent is not claimed again and again
    assert waited_s <= 2.5  # it looks for marks every two seconds
    assert row[0]["closed_until"] is None
    assert row[0]["lanes_closed"].keys() == {"1"}


def test_the_day_is_spent_by_midnight_while_work_waits(database_url: str) -> None:
    async def main() -> tuple[int, int]:
        async with desk(database_url, replace(PREMIUM, per_day=200), poll_s=60.0) as at:
            await at.mark(1, 400, 1)
            await at.clock.sleep(16 * 3_600 - 60)  # to a minute before the organisation's midnight
            return len(at.arrivals()), at.sandbox.ledger.rate_limit_hits

    assert run(main) == (200, 0)


def test_calls_of_others_are_noticed_and_left_room_for(database_url: str) -> None:
    async def main() -> tuple[int, int, int]:
        theirs = SandboxLimits(per_day=400, quota_headers=True)
        async with desk(database_url, replace(PREMIUM, per_day=400), theirs, 60.0) as at:
            for _ in range(50):
                at.sandbox.limiter.arrive()
                at.sandbox.limiter.leave()
            await at.clock.sleep(61)
            await at.mark(1, 600, 1)
            await at.clock.sleep(15 * 3_600)
            row = await at.sql("select day_foreign, day_calls from zohosync.organizations")
            hits = at.sandbox.ledger.rate_limit_hits
            return row[0]["day_foreign"], row[0]["day_calls"], hits

    foreign, ours, hits = run(main)
    assert (foreign, hits) == (50, 0)
    assert 325 <= ours <= 348  # 50 theirs, some more of theirs to be expected, and live's reserve


def test_a_block_costs_one_call_and_one_call_finds_out_that_it_is_over(database_url: str) -> None:
    async def main() -> list[float]:
        theirs = SandboxLimits(per_day=None, block_s=600)
        async with desk(database_url, replace(PREMIUM, per_day=None), theirs) as at:
            at.sandbox.limiter.block(600.0)
            began = at.clock.monotonic()
            await at.mark(1, 40, 10)
            await at.clock.sleep(900)
            return [at_s - began for at_s in at.arrivals()]

    arrivals = run(main)
    assert sum(at_s < 600 for at_s in arrivals) <= 5  # those that left before the first reply
    again = [at_s for at_s in arrivals if at_s >= 600]
    assert len(again) == 40
    assert again[1] >= again[0] + 0.2  # the others leave when its reply is there


def test_the_organisations_row_is_deleted_and_nothing_is_called(database_url: str) -> None:
    async def main() -> tuple[int, set[str]]:
        async with desk(database_url) as at:
            await at.mark(1, 4, 10)
            await at.clock.sleep(5)
            before = len(at.arrivals())
            await at.sql("delete from zohosync.records returning 1")
            await at.sql("delete from zohosync.organizations returning 1")
            told = len(at.joined.events)
            with pytest.raises(OrganizationGoneError) as caught:
                await at.joined.remote.probe()
            await at.clock.sleep(30)
            events = at.joined.events[told:]
            said = {event.message for event in events if isinstance(event, Noted)}
            said.add(str(caught.value))
            return len(at.arrivals()) - before, said

    called, said = run(main)
    assert called == 0
    assert any("organisation 10001 is gone" in each for each in said)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ("limits || '{\"per_minutes\": 50}'", "unexpected keyword argument 'per_minutes'"),
        ("limits - 'per_minute'", "missing 1 required positional argument: 'per_minute'"),
        ("limits || '{\"per_minute\": 0}'", "limits.per_minute is 0: it must be"),
        ('limits || \'{"shares": {"others": 7}}\'', "lanes.others is 7"),
        ("limits || '{\"pace\": 5}'", "'int' object is not iterable"),
    ],
)
def test_limits_that_somebody_broke_by_hand_let_nothing_leave_and_are_named(
    database_url: str, changed: str, why: str
) -> None:
    async def main() -> tuple[int, int, str]:
        async with desk(database_url) as at:
            before = len(at.arrivals())
            right = (await at.sql("select limits from zohosync.organizations"))[0]["limits"]
            await at.sql(f"update zohosync.organizations set limits = {changed} returning 1")
            with pytest.raises(LimitsUnreadableError) as caught:
                await at.joined.remote.probe()
            await at.mark(1, 4, 10)
            await at.clock.sleep(20)
            broken = len(at.arrivals()) - before
            values = {"limits": jsonb(right)}
            async with at.database.transaction() as transaction:
                text = "update zohosync.organizations set limits = %(limits)s"
                await transaction.execute_sql(text, values)
            await at.mark(5, 8, 10)
            await at.clock.sleep(60)
            return broken, len(at.arrivals()) - before, str(caught.value)

    broken, mended, said = run(main)
    assert broken == 0
    assert mended >= 4  # and the work goes on by itself
    assert why in said
    assert "start zohosync again" in said


def test_a_clock_that_jumps_back_an_hour_lets_nothing_over_the_limit(database_url: str) -> None:
    async def main() -> tuple[int, int, int]:
        back = timedelta(0)
        clock = VirtualClock()

        def now() -> datetime:
            return clock.now() - back

        sandbox = Sandbox(clock=clock, chance=Chance(7), limits=SandboxLimits(per_day=None))
        database = await Database.open(database_url, now=now)
        settings = WorldSettings(limits=replace(PREMIUM, per_day=None), pace=30.0)
        settings = settings.working(lease_s=60.0, heartbeat_s=20.0)
        await write_numbers(database)
        async with world(database, MAPPING, sandbox, clock=clock, settings=settings) as joined:
            at = Desk(joined, database, clock, sandbox)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(joined.service.run(at.stop))
                await at.mark(1, 250, 10)
                await clock.sleep(30)
                back = timedelta(hours=1)
                await clock.sleep(600)
                at.stop.set()
            ledger = sandbox.ledger
        await database.close()
        return ledger.largest_window(), ledger.rate_limit_hits, len(ledger.calls())

    most, hits, calls = run(main)
    assert (most <= 100, hits) == (True, 0)
    assert calls >= 100


def test_limits_changed_in_the_file_hold_within_seconds_and_a_bad_file_changes_nothing(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "zohosync.toml"
    (tmp_path / "mapping").mkdir()
    (tmp_path / "mapping" / "customers.sql").write_text(MAPPING["customers"], encoding="utf-8")
    settled = '[organization]\nid = "10001"\nmode = "sandbox"\n[worker]\nlease_s = 60\n'
    settled += "heartbeat_s = 20\npoll_s = 5\n"
    settled += "[limits]\nplan = 'custom'\nper_day = 100000\nin_flight = 10\n"

    async def main() -> tuple[list[int], list[Event]]:
        clock = VirtualClock()
        sandbox = Sandbox(clock=clock, chance=Chance(7), limits=SandboxLimits(per_day=None))
        database = await Database.open(database_url, now=clock.now)
        await write_numbers(database, 2_000)
        events: list[Event] = []
        for name in ("client_id", "client_secret", "refresh_token"):
            monkeypatch.setenv(f"ZOHOSYNC_{name.upper()}", getattr(sandbox, name))
        monkeypatch.setenv("ZOHOSYNC_API_URL", "http://127.0.0.1:1")
        monkeypatch.setenv("ZOHOSYNC_DATABASE_URL", database_url)
        file.write_text(f"{settled}per_minute = 100\n", encoding="utf-8")
        stop = asyncio.Event()
        counts = []
        async with (
            open_service(
                load(tmp_path), clock=clock, chance=Chance(3), tell=events.append,
                transport=in_process(sandbox.app), database=database,
            ) as house,
            asyncio.TaskGroup() as tasks,
        ):  # fmt: skip
            tasks.create_task(house.service.run(stop))
            await house.project.source.mark_all("customers", priority=10)
            for content in ("per_minute = 10\n", "per_minute = 0\n", "per_minute = 50\n", None):
                await clock.sleep(110)
                now = clock.monotonic()
                calls = [each.arrived_s for each in sandbox.ledger.calls()]
                counts.append(sum(now - 61 < at_s for at_s in calls))
                if content is not None:
                    file.write_text(settled + content, encoding="utf-8")
            stop.set()
        await database.close()
        return counts, events

    counts, events = run(main)
    assert counts[0] >= 95
    assert counts[1] == counts[2] == 10
    assert 47 <= counts[3] <= 50
    said = [event.message for event in events if isinstance(event, Noted)]
    assert said.count("the limits of zohosync.toml hold now") == 2
    assert any("limits.per_minute is 0" in each for each in said)


def test_limits_that_hold_already_are_not_written_again(database_url: str) -> None:
    async def main() -> list[bool]:
        async with desk(database_url) as at:
            lower = replace(PREMIUM, per_minute=20)
            return [await change_limits(at.database, "10001", each) for each in (lower, lower)]

    assert run(main) == [True, False]
