"""A worker outlives any error of its database: at work, at its start and at its end."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pytest

from zohosync.clock import Chance
from zohosync.events import Noted
from zohosync.jobs import PRUNE_EVERY_S
from zohosync.sandbox import Sandbox, SandboxLimits
from zohosync.simulate.process import label
from zohosync.store.database import Database
from zohosync.store.tapped import LOST, Overseer, dial
from zohosync.testing.virtual import VirtualClock, run
from zohosync.testing.world import World, WorldSettings, world

SCHEMA = "create table people (id int primary key, name text, email text)"
MAPPING = {"customers": "select p.id as key, p.name as display_name, p.email from people p"}
BEHIND = (
    "select key from zohosync.marks union select key from zohosync.records where status <> 'synced'"
)
CONFLICT = "40001"
POLL_S = 5.0
verdicts = pytest.mark.parametrize("verdict", [CONFLICT, LOST])
# The keeper looks every minute only: what is asked in between is asked by the worker.
SETTINGS = WorldSettings(pace=30.0).working(
    debounce_s=0.0, lease_s=120.0, heartbeat_s=30.0, poll_s=POLL_S, time_limit_s=60.0
)


@dataclass
class Breaker:
    """Fails statements by their names, the next few times that they are to run."""

    overseer: Overseer
    verdict: str = CONFLICT
    left: Counter[str] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)
    seen: Counter[str] = field(default_factory=Counter)

    def fail(self, verdict: str, *names: str, times: int = 1) -> None:
        self.verdict = verdict
        self.left = Counter(dict.fromkeys(names, times))

    def dial(self) -> str | None:
        return None

    def before(self, statement: bytes) -> str | None:
        name = label(statement)
        self.seen[name] += 1
        if self.left[name] <= 0:
            return None
        self.left[name] -= 1
        self.struck[name] += 1
        return self.verdict

    def after(self, statement: bytes) -> str | None:
        return None

    def broken(self, backend_pid: int) -> None:
        self.overseer.terminate(backend_pid)


@dataclass
class Company:
    """A database, the pretend Zoho, and a look at what is in both."""

    url: str
    clock: VirtualClock
    sandbox: Sandbox
    overseer: Overseer

    def write(self, key: int, name: str) -> None:
        """A person is new, or is called otherwise."""
        row = f"insert into people values ({key}, '{name}', 'p{key}@example.com') "
        row += "on conflict (id) do update set name = excluded.name"
        self.overseer.transact([(row, None), (f"select zohosync.mark('customers', '{key}')", None)])

    def brake(self, number: int) -> None:
        """A kind is stopped that there is not: nothing but an alert."""
        brakes = f'{{"kind {number}": {{"why": "too many"}}}}'
        self.overseer.transact([(f"update zohosync.organizations set brakes = '{brakes}'", None)])

    def in_zoho(self) -> list[str]:
        """The names of the customers in Zoho, each as often as it is there."""
        return sorted(row["display_name"] for row in self.sandbox.ledger.records("customers"))

    def column(self, text: str) -> list[Any]:
        """The first column of what a query finds."""
        return [next(iter(row.values())) for row in self.overseer.rows(text)]

    async def in_step(self) -> None:
        """Return when all that was written is in Zoho, as far as the records know."""
        for _ in range(100):
            await self.clock.sleep(70.0)  # a poll, a beat and a call
            if not self.column(BEHIND):
                return
        raise AssertionError(f"still not in step: {self.column(BEHIND)}")

    @asynccontextmanager
    async def worker(
        self, settings: WorldSettings = SETTINGS
    ) -> AsyncIterator[tuple[World, Breaker]]:
        """A worker that is ready to run, and what breaks its database."""
        breaker = Breaker(self.overseer)
        database = await Database.open(
            self.url, now=self.clock.now, dial=partial(dial, tap=breaker)
        )
        try:
            async with world(
                database, MAPPING, self.sandbox, clock=self.clock, settings=settings
            ) as joined:
                yield joined, breaker
        finally:
            await database.close()


def notes(joined: World) -> str:
    """All that the worker had to say."""
    return "\n".join(event.message for event in joined.events if isinstance(event, Noted))


Story = Callable[[Company], Coroutine[Any, Any, None]]


def play(url: str, story: Story) -> None:
    """Run a story in virtual time."""

    async def main() -> None:
        clock = VirtualClock()
        sandbox = Sandbox(clock=clock, chance=Chance(7), limits=SandboxLimits.lifted())
        overseer = Overseer(url)
        overseer.run(SCHEMA)
        try:
            await story(Company(url, clock, sandbox, overseer))
        finally:
            overseer.close()

    run(main)


@asynccontextmanager
async def at_work(joined: World) -> AsyncIterator[asyncio.Event]:
    """The worker runs meanwhile, and is asked to stop at the end; it must not have ended before."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(joined.service.run(stop))
        yield stop
        assert stop.is_set() or not running.done()
        stop.set()


@verdicts
def test_a_worker_outlives_an_error_of_its_look_for_what_is_due(
    database_url: str, verdict: str
) -> None:
    async def story(company: Company) -> None:
        async with company.worker() as (joined, breaker), at_work(joined):
            company.write(1, "P1")
            await company.clock.sleep(2 * POLL_S)
            breaker.fail(verdict, "next_due", times=3)
            await company.clock.sleep(4 * POLL_S)
            assert breaker.struck["next_due"] == 3
            company.write(2, "P2")
            await company.clock.sleep(2 * POLL_S)
            assert company.in_zoho() == ["P1", "P2"]
            assert company.column("select status from zohosync.records") == ["synced"] * 2
            assert notes(joined).count("the database: ") == 3

    play(database_url, story)


@verdicts
def test_a_worker_whose_first_sign_of_life_fails_works_and_gives_it_later(
    database_url: str, verdict: str
) -> None:
    async def story(company: Company) -> None:
        async with company.worker() as (joined, breaker):
            breaker.fail(verdict, "beat")
            company.write(1, "P1")
            async with at_work(joined):
                await company.clock.sleep(2 * POLL_S)
                assert breaker.struck["beat"] == 1
                assert company.in_zoho() == ["P1"]
                assert company.column("select worker from zohosync.workers") == []
                await company.clock.sleep(90.0)
                assert len(company.column("select worker from zohosync.workers")) == 1
            assert "upkeep: " in notes(joined)

    play(database_url, story)


@verdicts
@pytest.mark.parametrize("name", ["release_worker", "leave"])
def test_a_worker_that_cannot_say_goodbye_stops_all_the_same(
    database_url: str, name: str, verdict: str
) -> None:
    async def story(company: Company) -> None:
        async with company.worker() as (joined, breaker):
            async with at_work(joined):
                company.write(1, "P1")
                await company.clock.sleep(2 * POLL_S)
                breaker.fail(verdict, name)
            assert breaker.struck[name] == 1
        assert company.in_zoho() == ["P1"]
        assert company.column("select status from zohosync.records") == ["synced"]

    play(database_url, story)


@verdicts
def test_what_a_worker_could_not_give_back_at_its_end_is_taken_over(
    database_url: str, verdict: str
) -> None:
    async def story(company: Company) -> None:
        async with company.worker() as (joined, breaker):
            company.write(1, "P1")
            async with at_work(joined):
                await company.clock.sleep(2 * POLL_S)
                company.sandbox.wire.latency_s = (50.0, 50.0)  # longer than a stop waits
                company.write(2, "P2")
                await company.clock.sleep(2 * POLL_S)
                assert company.in_zoho() == ["P1", "P2"]
                breaker.fail(verdict, "release_worker")
        held = "select key from zohosync.records where lease_until is not null"
        assert company.column(held) == ["2"]
        company.sandbox.wire.latency_s = (0.0, 0.0)
        async with company.worker() as (joined, _), at_work(joined):
            await company.clock.sleep(600.0)
            assert company.in_zoho() == ["P1", "P2"]
            assert company.column("select status from zohosync.records") == ["synced"] * 2
            assert "took over 1 records" in notes(joined)

    play(database_url, story)


@verdicts
def test_a_run_until_idle_that_cannot_look_goes_on_and_finishes(
    database_url: str, verdict: str
) -> None:
    async def story(company: Company) -> None:
        async with company.worker() as (joined, breaker):
            company.write(1, "P1")
            breaker.fail(verdict, "unsettled", times=5)
            await joined.service.run_until_idle(asyncio.Event(), poll_s=1.0)
            assert breaker.struck["unsettled"] == 5
        assert company.in_zoho() == ["P1"]
        assert company.column("select status from zohosync.records") == ["synced"]

    play(database_url, story)


def test_who_cannot_look_does_not_take_the_work_for_done(database_url: str) -> None:
    async def story(company: Company) -> None:
        async with company.worker() as (joined, breaker):
            breaker.fail(CONFLICT, "fold_marks", "unsettled", times=4)
            company.write(1, "P1")
            await joined.service.run_until_idle(asyncio.Event(), poll_s=1.0)
        assert company.in_zoho() == ["P1"]

    play(database_url, story)


@verdicts
@pytest.mark.slow
def test_each_statement_of_a_worker_may_fail_once_and_every_row_arrives_once(
    database_url: str, verdict: str
) -> None:
    async def story(company: Company) -> None:
        slow = replace(SETTINGS, pace=20.0).working(poll_s=60.0, heartbeat_s=10.0)
        async with company.worker(slow) as (joined, breaker), at_work(joined):
            breaker.seen.clear()  # what a start needs is not asked here
            company.sandbox.wire.latency_s = (15.0, 15.0)  # leases are extended meanwhile
            company.write(1, "Ada")
            company.brake(1)
            await company.in_step()
            names = sorted(set(breaker.seen) - {"note_jobs"})  # jobs are noted once, at the start
            assert {"beat", "commit", "extend_leases", "next_due", "token_save"} < set(names)
            assert {"glance_alerts", "save_alerts", "settle_notice"} < set(names)
            for number, name in enumerate(names, start=2):
                breaker.fail(verdict, name)
                company.sandbox.tokens.expire()
                company.write(number, f"P{number}")
                company.write(1, f"Ada {number}")
                company.brake(number)
                company.overseer.run("update zohosync.organizations set day = day - 1")
                await company.in_step()
                for wait_s in (PRUNE_EVERY_S, 3_600.0):  # a job of upkeep, now and then
                    if not breaker.struck[name]:
                        await company.clock.sleep(wait_s + 30.0)
                        await company.in_step()
                assert breaker.struck[name] == 1, name
                people = company.column("select name from people")
                assert company.in_zoho() == sorted(people)
            assert "a bug: " not in notes(joined)

    play(database_url, story)
