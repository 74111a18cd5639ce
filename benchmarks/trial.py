"""One strategy through one workload in virtual time: a rival's client, or the real engine."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks.judge import Curves, Outcome, judged
from benchmarks.line import Job, Line, Workload, foreign, sandbox_for
from benchmarks.rivals import Client
from zohosync.clock import Chance
from zohosync.core.governor import PLANS, Limits
from zohosync.store.database import Database
from zohosync.testing.virtual import VirtualClock, run
from zohosync.testing.world import World, WorldSettings, world

# The in-process transport asks at every call whether it runs under trio, by an import that fails
# slowly (0.4 ms); this makes it fail fast.
sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]

LOOK_S = 5.0
"""How often a run is asked whether it is through."""

SKEWS_S = (0.0, 300.0, -300.0, 61.0, -61.0, 7.0, -7.0, 150.0)
"""How wrong the clocks of the workers' machines are."""

MAPPING = {"customers": "select c.id as key, c.id as display_name, c.email from public.customers c"}

TABLE = """
create or replace function zohosync.current_time() returns timestamptz
  language sql volatile parallel safe as $$
    select coalesce(nullif(current_setting('zohosync.now', true), '')::timestamptz,
                    clock_timestamp())
  $$;
create table public.customers (id text primary key, email text not null);
insert into public.customers select 'B' || n, 'c@example.com' from generate_series(1, {rows}) n;
analyze public.customers;
"""

CHANGE = """
with added as (insert into public.customers values (%(key)s, 'c@example.com'))
select zohosync.mark('customers', %(key)s, 10)
"""


@dataclass(frozen=True, slots=True)
class Result:
    """What a trial gave."""

    outcome: Outcome
    curves: Curves


async def until_through(line: Line, done: Any) -> None:
    """Until every record is made or time is up; a day is lived to its end."""
    work, clock = line.work, line.clock
    while clock.monotonic() < work.cap_s and (work.whole_day or done() < work.wanted):
        await clock.sleep(min(LOOK_S, work.cap_s - clock.monotonic()))


def tried(client: Client, work: Workload) -> Result:
    """A rival's run."""

    async def main() -> Result:
        clock = VirtualClock(work.origin)
        line = Line(work, sandbox_for(work, clock), clock)
        born = {f"L{n}": at_s for n, at_s in enumerate(work.live)}

        async def arrive() -> None:
            for name, at_s in born.items():
                await clock.sleep(at_s - clock.monotonic())
                await line.put(Job(name, 10))

        await line.put(*(Job(f"B{n}", 1) for n in range(1, work.backfill + 1)))
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(c) for c in (client(line), arrive(), foreign(line))]
            await until_through(line, lambda: line.done + line.lost)
            for task in running:
                task.cancel()
        outcome, curves = judged(work, line.sandbox.ledger, born, clock.monotonic(), lost=line.lost)
        return Result(outcome, curves)

    return run(main)


def limits_of(work: Workload) -> Limits:
    """What the engine is told of the remote: its published limits, and no more."""
    plan = PLANS["guide" if work.limits == "guide" else "premium"]
    return Limits(
        per_minute=work.per_minute,
        in_flight=work.in_flight,
        per_day=work.per_day,
        per_second=work.per_second,
        block_s=plan.block_s,
    )


@asynccontextmanager
async def joined(
    url: str, line: Line, workers: int, true: VirtualClock
) -> AsyncIterator[tuple[list[World], Database]]:
    """That many processes' worlds on one database, each with a clock of its own."""
    work = line.work
    turn = asyncio.Semaphore(1)
    settings = WorldSettings(limits=limits_of(work), pace=20.0 if work.whole_day else 5.0)
    if work.whole_day:  # a day of naps of a second would take hours to simulate
        settings = settings.working(poll_s=5.0, lease_s=120.0, heartbeat_s=40.0)
    else:
        settings = settings.working(poll_s=0.5, lease_s=30.0, heartbeat_s=10.0)
    async with AsyncExitStack() as stack:
        worlds: list[World] = []
        databases: list[Database] = []
        for number in range(workers):
            database = await Database.open(url, now=true.now, turn=turn)
            stack.push_async_callback(database.close)
            databases.append(database)
            if not number:
                async with database.transaction() as transaction:
                    await transaction.execute_sql(TABLE.format(rows=work.backfill))
            skewed = VirtualClock(work.origin, skew_s=SKEWS_S[number])
            worlds.append(
                await stack.enter_async_context(
                    world(
                        database,
                        MAPPING,
                        line.sandbox,
                        clock=skewed,
                        chance=Chance(20 + number),
                        settings=settings,
                    )
                )
            )
        yield worlds, databases[0]


def engine(url: str, workers: int, work: Workload) -> Result:
    """The real engine: so many of its processes, on the database of that URL."""

    async def main() -> Result:
        clock = VirtualClock(work.origin)
        line = Line(work, sandbox_for(work, clock), clock)
        born: dict[str, float] = {}
        async with joined(url, line, workers, clock) as (worlds, database):
            made = line.sandbox.books.customers.rows

            async def arrive() -> None:
                for n, at_s in enumerate(work.live):
                    await clock.sleep(at_s - clock.monotonic())
                    async with database.transaction() as transaction:
                        await transaction.execute_sql(CHANGE, {"key": f"L{n}"})
                    born[f"L{n}"] = clock.monotonic()

            await worlds[0].source.mark_all("customers", priority=1)
            stop = asyncio.Event()
            async with asyncio.TaskGroup() as tasks:
                working = [tasks.create_task(each.service.run(stop)) for each in worlds]
                others = [tasks.create_task(c) for c in (arrive(), foreign(line))]
                await until_through(line, lambda: len(made))
                ended_s = clock.monotonic()
                outcome, curves = judged(work, line.sandbox.ledger, born, ended_s)
                for task in others:
                    task.cancel()
                stop.set()
                for task in working:
                    await task
        return Result(outcome, curves)

    return run(main)
