"""How many admissions a second the journal decides, and what one costs as the journal grows.

`python -m benchmarks.admissions [--json] [--large]`: 1,000 organisations from 4 processes, beside
the barest that could be called a limiter; then one organisation with 10,000 to 1,000,000 rows in
its journal (10,000,000 with --large, some minutes).
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass

import psycopg

from benchmarks import bare
from benchmarks.figures import Spread, percentile, say
from benchmarks.ground import ground, opened
from zohosync.clock import Chance
from zohosync.core.governor import PLANS, JournalView, Limits
from zohosync.core.kinds import MAPPED
from zohosync.core.lanes import Asked, Books, Choice, choose
from zohosync.core.records import LIVE
from zohosync.errors import DatabaseError
from zohosync.store.database import Database
from zohosync.store.journal import Admission, Ending, Entry, Journal
from zohosync.store.organizations import register_organization
from zohosync.wiring import settle_memory

ORGS, PROCESSES, TASKS = 1_000, 4, 6
SECONDS = 10.0
AIM, AIM_MS = 1_500.0, 1.0
SIZES = (10_000, 100_000, 1_000_000)
TIMES = 300
WAYS = ((6, 1), (90, 1), (90, 5))
"""How many calls count in the minute (nearly all that may, or one every 10 s), and how many ask."""

Link = psycopg.AsyncConnection

MORE_ORGS = """
insert into zohosync.organizations (org_id, data_center, mode, time_zone, currency_code, limits,
  active, kinds)
select n::text, data_center, mode, time_zone, currency_code, limits, false, kinds
  from zohosync.organizations, generate_series(2, {orgs}) n where org_id = '1'
"""
# Calls that ended, the latest two minutes ago, one every 9 s before that: 1,000,000 are 104 days.
FILL = """
insert into zohosync.api_calls (org_id, door, lane, kind, key, lease_epoch, worker, operation,
  method, path, started_at, deadline, finished_at, counts_until, sent, status, outcome, latency_ms,
  intent, intent_state)
select '1', 'api', 10, 'customers', (n % 50000)::text, 1, 'bench', 'create', 'POST', '/customers',
       t.at, t.at + interval '30 s', t.at + interval '0.5 s', t.at + interval '61 s', true, 201,
       'done', 500, '{{"display_name": "Customer"}}', 'closed'
  from generate_series({low}, {high}) n,
       lateral (select zohosync.current_time() - interval '2 min' - n * interval '9 s' as at) t
"""
# So many calls count in the minute, no more: its oldest places come free as others are taken.
AGE = """
update zohosync.api_calls set counts_until = zohosync.current_time() - interval '1 s'
 where call_id = any (array(
   select call_id from zohosync.api_calls
    where org_id = '1' and door = 'api' and finished_at is not null
      and counts_until > (select zohosync.current_time())
    order by counts_until desc offset %s))
"""
BARE = "insert into public.bare (org, at) values ('1', clock_timestamp())"


@dataclass(frozen=True, slots=True)
class Rate:
    """What one process did: calls admitted, what was not admitted by reason, errors by name."""

    admitted: int
    held: dict[str, int]
    errors: dict[str, int]
    seconds: float


def entry(lane: int = LIVE) -> Entry:
    """A call without a record: nothing but the journal is measured."""
    return Entry("api", lane, "find", "GET", "/customers")


async def admitted(journal: Journal, count: int) -> Admission:
    """Ask for so many calls at once, decided as the gate decides."""
    asked = [Asked(LIVE)] * count

    def decide(view: JournalView, books: Books, limits: Limits) -> Choice:
        return choose(view, books, limits, asked)

    return await journal.admit([entry()] * count, decide)


def journal_of(database: Database, org: str, worker: str) -> Journal:
    """The journal of one organisation."""
    return Journal(database, org_id=org, worker=worker, time_limit_s=30.0, mint_key="m")


def ending(call_id: int) -> Ending:
    """It went well."""
    return Ending(call_id, sent=True, status=200, code="0", outcome="found", latency_ms=300.0)


def process(url: str, number: int, start_at: float, batch: int) -> Rate:
    """One OS process: admissions for organisations by chance, each call ended soon after."""
    return asyncio.run(_process(url, number, start_at, batch))


async def _process(url: str, number: int, start_at: float, batch: int) -> Rate:
    chance = Chance(number)
    held: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    count = 0
    ended: list[int] = []
    async with opened(url) as database:
        journals = [journal_of(database, str(n + 1), f"w{number}") for n in range(ORGS)]
        settle_memory()  # as the worker does
        await asyncio.sleep(max(0.0, start_at - time.time()))
        until = start_at + SECONDS

        async def task() -> None:
            nonlocal count
            while time.time() < until:
                journal = journals[chance.integer(0, ORGS - 1)]
                try:
                    granted = await admitted(journal, batch)
                    ended.extend(granted.call_ids.values())
                    if len(ended) >= 32:  # as the gate: those that end together are written so
                        together = [ending(call_id) for call_id in ended]
                        ended.clear()
                        await journal.finish(together)
                except DatabaseError as error:
                    errors[type(error).__name__] += 1
                    continue
                count += len(granted.call_ids)
                if len(granted.call_ids) < batch:
                    held[granted.choice.reason or "?"] += batch - len(granted.call_ids)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(TASKS):
                tasks.create_task(task())
        return Rate(count, dict(held), dict(errors), time.time() - start_at)


async def _orgs(url: str) -> None:
    async with opened(url) as database:
        await register_organization(
            database,
            org_id="1",
            data_center="us",
            mode="sandbox",
            time_zone="UTC",
            currency="ZAR",
            limits=PLANS["premium"],
            kinds=MAPPED,
        )
        async with database.transaction() as transaction:
            await transaction.execute_sql(MORE_ORGS.format(orgs=ORGS))


def rates(url: str, batch: int) -> dict[str, object]:
    """Admissions a second over all processes, for so many calls asked at once."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, mp_context=context) as pool:
        start_at = time.time() + 4.0  # when all have been started
        runs = [pool.submit(process, url, n, start_at, batch) for n in range(PROCESSES)]
        found = [run.result() for run in runs]
    held: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    for each in found:
        held.update(each.held)
        errors.update(each.errors)
    seconds = max(each.seconds for each in found)
    return {
        "asked_at_once": batch,
        "admissions_per_s": round(sum(each.admitted for each in found) / seconds, 1),
        "held_by_limits": dict(held),
        "refused_otherwise": dict(errors),
    }


def bare_rates(url: str, way: str) -> dict[str, object]:
    """The same for a limiter that does nothing else."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, mp_context=context) as pool:
        given = (way, time.time() + 4.0, (ORGS, TASKS, SECONDS))
        runs = [pool.submit(bare.process, url, number, *given) for number in range(PROCESSES)]
        found = sum(run.result() for run in runs)
    return {"baseline": way, "admissions_per_s": round(found / SECONDS, 1)}


async def costs(url: str, sizes: tuple[int, ...]) -> list[dict[str, object]]:
    """What one admitted call costs in the journal, by the journal's size, in ms."""
    found: list[dict[str, object]] = []
    link = await psycopg.AsyncConnection.connect(url, autocommit=True)
    async with link, opened(url) as database:
        await link.execute("create table public.bare (org text, at timestamptz)")
        journal = journal_of(database, "1", "bench")
        filled = 0
        for size in sizes:
            say(f"admissions: a journal of {size:,} rows …")
            await link.execute(FILL.format(low=filled + 1, high=size))
            await link.execute("vacuum analyze zohosync.api_calls")
            filled = size
            for minute, batch in WAYS:
                single: list[float] = []
                closing: list[float] = []
                bare: list[float] = []
                for turn in range(TIMES // batch + 90):
                    await link.execute(AGE, [minute])
                    began = time.perf_counter()
                    granted = await admitted(journal, batch)
                    taken = (time.perf_counter() - began) * 1_000 / batch
                    assert len(granted.call_ids) == batch, granted.choice
                    began = time.perf_counter()
                    await journal.finish([ending(call_id) for call_id in granted.call_ids.values()])
                    written = (time.perf_counter() - began) * 1_000 / batch
                    began = time.perf_counter()
                    await link.execute(BARE)
                    if turn >= 90:  # the minute is full by then
                        single.append(taken)
                        closing.append(written)
                        bare.append((time.perf_counter() - began) * 1_000)
                found.append(
                    {
                        "rows": size,
                        "calls_in_the_minute": minute,
                        "asked_at_once": batch,
                        "admit_ms_a_call": asdict(_quantiles(single)),
                        "finish_ms_a_call": asdict(_quantiles(closing)),
                        "bare_insert_ms": asdict(_quantiles(bare)),
                    }
                )
    return found


def _quantiles(values: list[float]) -> Spread:
    """The median between the 5th and the 95th percentile."""
    return Spread(*(round(percentile(values, percent), 3) for percent in (50, 5, 95)))


async def _lift(url: str) -> None:
    """An organisation without a limit for the day."""
    async with opened(url) as database:
        await register_organization(
            database,
            org_id="1",
            data_center="us",
            mode="sandbox",
            time_zone="UTC",
            currency="ZAR",
            limits=Limits(per_minute=100, in_flight=10, per_day=None),
            kinds=MAPPED,
        )


def main() -> int:
    """Measure and show."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.admissions", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--large", action="store_true", help="10,000,000 rows, too")
    told = parser.parse_args()
    sizes = (*SIZES, 10_000_000) if told.large else SIZES
    load = os.getloadavg()[0]
    with ground() as place:
        with place.database() as url:
            asyncio.run(_orgs(url))
            say("admissions: 1,000 organisations from 4 processes …")
            rate = [rates(url, batch) for batch in (1, 5)]
        with place.database() as url:
            with psycopg.connect(url, autocommit=True) as link:
                link.execute(bare.SCHEMA.format(orgs=ORGS))
            rate += [bare_rates(url, way) for way in bare.WAYS]
        with place.database() as url:
            asyncio.run(_lift(url))
            cost = asyncio.run(costs(url, sizes))
    machine = {"cores": os.cpu_count(), "load_before": load, "load_after": os.getloadavg()[0]}
    if told.json:
        print(json.dumps({"rates": rate, "costs": cost, "machine": machine}))
        return 0
    for line in rate:
        print(line, f"(aim: {AIM:g} a second)")
    for line in cost:
        print(line, f"(aim: {AIM_MS:g} ms)")
    print(machine)
    return 0


if __name__ == "__main__":
    sys.exit(main())
