"""One leader does the jobs of upkeep: taken over when it dies, no run twice, missed ones once."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from zohosync.clock import Chance
from zohosync.engine.keeper import LEASE_S, LOOK_S, Job, Leader
from zohosync.events import Event, Noted
from zohosync.sandbox import Sandbox, SandboxLimits
from zohosync.store.database import Database, Row
from zohosync.store.organizations import Presence
from zohosync.store.upkeep import Upkeep
from zohosync.testing.virtual import VirtualClock, run
from zohosync.testing.world import WorldSettings, world

ORG = "1"
ORGANIZATION = (
    "insert into zohosync.organizations (org_id, data_center, mode, time_zone)"
    " values ('1', 'us', 'sandbox', 'Africa/Johannesburg')"
)
Body = Callable[["House", str], Awaitable[str | None]]


@dataclass
class House:
    """A database in virtual time, and who ran which job when."""

    clock: VirtualClock
    database: Database
    tasks: asyncio.TaskGroup
    ran: list[tuple[str, str, float]] = field(default_factory=list)
    told: list[Event] = field(default_factory=list)

    def worker(
        self, name: str, every_s: float = 60.0, body: Body | None = None, more: Sequence[Job] = ()
    ) -> asyncio.Task[None]:
        """A worker whose leader has that job, and more; cancelled, it is as killed."""
        return self.tasks.create_task(self.leader(name, every_s, body, more).run())

    def leader(
        self, name: str, every_s: float = 60.0, body: Body | None = None, more: Sequence[Job] = ()
    ) -> Leader:
        async def act() -> str | None:
            self.ran.append((name, "count", self.clock.monotonic()))
            return await body(self, name) if body else None

        upkeep, jobs = Upkeep(self.database, ORG, name), [Job("count", every_s, act), *more]
        return Leader(upkeep, jobs, clock=self.clock, tell=self.told.append)

    async def rows(self, text: str) -> list[Row]:
        async with self.database.transaction() as transaction:
            return await transaction.fetch_sql(text)

    async def job(self, name: str = "count") -> Row:
        return (await self.rows(f"select * from zohosync.jobs where job = '{name}'"))[0]

    async def leaving(self, name: str) -> None:
        presence = Presence(self.database, worker=name, org_id=ORG, host="here", pid=1, version="0")
        await presence.leave()


@asynccontextmanager
async def house(url: str) -> AsyncIterator[House]:
    clock = VirtualClock()
    database = await Database.open(url, now=clock.now)
    async with database.transaction() as transaction:
        await transaction.execute_sql(ORGANIZATION)
    async with asyncio.TaskGroup() as tasks:
        made = House(clock, database, tasks)
        yield made
        for task in list(tasks._tasks):
            task.cancel()
    await database.close()


def test_one_of_two_workers_runs_each_job_and_the_other_takes_over_within_10_s(
    database_url: str,
) -> None:
    async def main() -> None:
        async with house(database_url) as here:
            first = here.worker("a")
            await here.clock.sleep(0.5)
            here.worker("b")
            await here.clock.sleep(200.0)
            assert [name for name, _, _ in here.ran] == ["a"] * 4
            first.cancel()  # killed: it gives nothing back
            killed_at = here.clock.monotonic()
            leads = "select worker from zohosync.leaders"
            while await here.rows(leads) == [{"worker": "a"}]:
                await here.clock.sleep(0.25)
            assert here.clock.monotonic() - killed_at <= LEASE_S + LOOK_S < 10.0
            await here.clock.sleep(120.0)
            assert [name for name, _, _ in here.ran[4:]] == ["b"] * 2
            times = [at for _, _, at in here.ran]
            assert all(later - sooner >= 60.0 for sooner, later in itertools.pairwise(times))

    run(main)


def test_who_stops_gives_the_lead_and_its_run_back_at_once(database_url: str) -> None:
    async def long(here: House, name: str) -> None:
        if name == "a":
            await here.clock.sleep(50.0)

    async def main() -> None:
        async with house(database_url) as here:
            first = here.worker("a", body=long)
            await here.clock.sleep(1.0)
            here.worker("b", body=long)
            first.cancel()
            await here.clock.sleep(0)
            await here.leaving("a")
            stopped_at = here.clock.monotonic()
            await here.clock.sleep(2 * LOOK_S)
            (_, (name, _, at)) = here.ran
            assert name == "b"
            assert at - stopped_at <= LOOK_S
            assert (await here.job())["state"] == "done"

    run(main)


def test_what_was_missed_while_nobody_worked_runs_once(database_url: str) -> None:
    async def main() -> None:
        async with house(database_url) as here:
            first = here.worker("a")
            await here.clock.sleep(1.0)
            first.cancel()
            await here.clock.sleep(86_400.0)
            here.worker("b")
            await here.clock.sleep(59.0)
            assert [name for name, _, _ in here.ran] == ["a", "b"]

    run(main)


def test_a_former_leader_that_wakes_begins_no_run_again(database_url: str) -> None:
    """Frozen after it looked: another one led, ran the job, and went; now it goes on."""

    async def main() -> None:
        async with house(database_url) as here:
            old, new = Upkeep(here.database, ORG, "old"), Upkeep(here.database, ORG, "new")
            await old.look(LEASE_S)
            await old.note(["count"])
            seen = await old.look(LEASE_S)
            await here.clock.sleep(LEASE_S + 1.0)
            now = await new.look(LEASE_S)
            assert now.epoch is not None
            assert seen.epoch is not None
            assert now.epoch > seen.epoch
            runs = seen.known["count"].runs
            assert await old.claim("count", runs, LEASE_S, seen.epoch) is None  # it leads no more
            number = await new.claim("count", runs, LEASE_S, now.epoch)
            assert number == runs + 1
            await new.end("count", number, done=True, took_ms=1, told=None)
            assert await old.claim("count", runs, LEASE_S, None) is None  # nor by hand
            await old.end("count", number, done=False, took_ms=1, told="late")
            assert (await here.job())["state"] == "done"

    run(main)


def test_a_leader_that_lost_its_lease_breaks_its_run_off(database_url: str) -> None:
    async def forever(here: House, name: str) -> None:
        await here.clock.sleep(60.0)
        here.ran.append((name, "ended", here.clock.monotonic()))

    async def main() -> None:
        async with house(database_url) as here:
            here.worker("a", body=forever)
            await here.clock.sleep(LOOK_S / 2)
            await here.rows(
                "with led as (update zohosync.leaders set worker = 'b', epoch = epoch + 1,"
                "  until = until + interval '1 hour')"
                " update zohosync.jobs set worker = 'b' returning job"
            )
            await here.clock.sleep(100.0)
            assert [what for _, what, _ in here.ran if what == "ended"] == []

    run(main)


def test_a_job_that_raises_is_told_counted_and_tried_again_and_stops_no_other(
    database_url: str,
) -> None:
    async def breaks(here: House, name: str) -> str | None:
        if len(here.ran) < 3:
            raise ValueError("no such table")
        return "mended"

    async def main() -> None:
        async with house(database_url) as here:
            fine: list[float] = []

            async def counts() -> None:
                fine.append(here.clock.monotonic())

            here.worker("a", 3_600.0, breaks, [Job("fine", 30.0, counts)])
            await here.clock.sleep(59.0)
            row = await here.job()
            assert (row["state"], row["failures"], row["failed"]) == ("failed", 1, 1)
            assert "no such table" in row["told"]
            assert len(fine) == 2
            await here.clock.sleep(600.0)
            row = await here.job()
            assert (row["state"], row["failures"], row["failed"]) == ("done", 0, 2)
            gaps = [round(b[2] - a[2]) for a, b in itertools.pairwise(here.ran)]
            assert 60 <= gaps[0] <= 62
            assert 120 <= gaps[1] <= 122
            words = [event.message for event in here.told if isinstance(event, Noted)]
            assert sum("no such table" in text for text in words) == 2
            assert "count: mended" in words

    run(main)


def test_a_slow_job_holds_up_neither_rescue_nor_another_leader(database_url: str) -> None:
    """It runs for longer than any lease, and is still nobody else's; `--once` leaves it alone."""

    async def slow(here: House, name: str) -> None:
        await here.clock.sleep(500.0)

    async def main() -> None:
        async with house(database_url) as here:
            here.worker("a", body=slow)
            await here.clock.sleep(400.0)
            assert await here.leader("cron", body=slow).once() == []
            assert await here.leader("cron", body=slow).once(everything=True) == []
            assert len(here.ran) == 1
            await here.clock.sleep(120.0)
            assert (await here.job())["state"] in ("done", "running")
            assert len(here.ran) == 2

    run(main)


def test_once_runs_what_is_due_without_a_worker_and_a_second_time_nothing(
    database_url: str,
) -> None:
    async def main() -> None:
        async with house(database_url) as here:
            (ran,) = await here.leader("cron").once()
            assert (ran.job, ran.done) == ("count", True)
            assert await here.leader("cron").once() == []
            assert [each.job for each in await here.leader("x").once(everything=True)] == ["count"]
            assert await here.rows("select 1 as led from zohosync.leaders") == []

    run(main)


def test_of_two_whole_workers_one_keeps_house(database_url: str) -> None:
    mapping = {"customers": "select 1 as key, 'Ann' as display_name, 'a@example.com' as email"}

    async def main() -> None:
        clock = VirtualClock()
        sandbox = Sandbox(clock=clock, chance=Chance(7), limits=SandboxLimits.lifted())
        database = await Database.open(database_url, now=clock.now)
        settings = WorldSettings().working(poll_s=60.0)
        async with (
            world(database, mapping, sandbox, clock=clock, settings=settings) as one,
            world(database, mapping, sandbox, clock=clock, settings=settings) as two,
            asyncio.TaskGroup() as tasks,
        ):
            stops = asyncio.Event(), asyncio.Event()
            killed = tasks.create_task(one.service.run(stops[0]))
            await clock.sleep(1.0)
            tasks.create_task(two.service.run(stops[1]))
            await clock.sleep(20.0)
            (before,) = await rows_of(database, LEADER)
            killed.cancel()
            await clock.sleep(10.0)
            (after,) = await rows_of(database, LEADER)
            assert before["worker"] != after["worker"]
            assert [row["job"] for row in await rows_of(database, JOBS)] == [
                "forgetting",
                "retention",
            ]
            stops[1].set()
            await clock.sleep(40.0)
            assert await rows_of(database, LEADER) == []
        await database.close()

    run(main)


LEADER = "select worker from zohosync.leaders where until > zohosync.current_time()"
JOBS = "select job from zohosync.jobs where runs = 1 and state = 'done'"


async def rows_of(database: Database, text: str) -> list[Row]:
    async with database.transaction() as transaction:
        return await transaction.fetch_sql(text)
