"""How many calls the same changes cost: the engine, beside a client that makes one call a change.

`python -m benchmarks.calls [--json] [--records 10000]`: 1,000 edits of 50 records within 5 minutes,
and a second run over a book in which nothing has changed. In virtual time, on a real Postgres.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass

import psycopg
import simplejson

from benchmarks.figures import say
from benchmarks.ground import Ground, ground
from benchmarks.line import Line, workloads
from benchmarks.trial import TABLE
from zohosync.clock import Chance
from zohosync.core.governor import PLANS
from zohosync.core.records import BULK
from zohosync.sandbox import Request, Sandbox, SandboxLimits
from zohosync.store.database import Database
from zohosync.testing.virtual import VirtualClock, run
from zohosync.testing.world import World, WorldSettings, world

EDITS, RECORDS, WITHIN_S = 1_000, 50, 300.0
BOOK = 10_000
DEBOUNCE_S = 300.0
MAPPING = {"customers": "select c.id as key, c.id as display_name, c.email from public.customers c"}
EDIT = """
with edited as (update public.customers set email = %(email)s where id = %(key)s)
select zohosync.mark('customers', %(key)s, 5)
"""
IN_STEP = """
select count(*) filter (where r.status = 'synced' and r.version = r.synced_version) as synced,
       count(*) as all
  from zohosync.records r where r.kind = 'customers'
"""
FAST = ("alter system set fsync = off", "alter system set synchronous_commit = off")


@dataclass(frozen=True, slots=True)
class Cost:
    """Calls while the changes were made, and in all, beside a call for each change."""

    what: str
    changes: int
    within: int
    total: int
    plain: int
    aim: str
    met: bool


@dataclass(frozen=True, slots=True)
class Book:
    """A book that is in step, its engine at work, and the remote that counts."""

    clock: VirtualClock
    sandbox: Sandbox
    database: Database
    joined: World

    async def at_rest(self, records: int, *, pause_s: float = 1.0) -> None:
        """Until every record is in step and nothing is left to do."""
        while True:
            await self.clock.sleep(pause_s)
            async with self.database.transaction() as transaction:
                (row,) = await transaction.fetch_sql(IN_STEP)
                marks = await transaction.fetch_sql("select 1 from zohosync.marks limit 1")
            if row["synced"] == row["all"] == records and not marks:
                return

    def calls(self) -> list[Request]:
        """What reached the remote."""
        return self.sandbox.ledger.calls()


@asynccontextmanager
async def book(url: str, records: int) -> AsyncIterator[Book]:
    """So many customers, each made in the remote by the engine."""
    clock = VirtualClock()
    sandbox = Sandbox(clock=clock, chance=Chance(3), limits=SandboxLimits.lifted())
    database = await Database.open(url, now=clock.now)
    settings = WorldSettings(limits=PLANS["unlimited"], pace=20.0)
    settings = settings.working(slots=32, lease_s=60.0, heartbeat_s=20.0, debounce_s=DEBOUNCE_S)
    async with database.transaction() as transaction:
        await transaction.execute_sql(TABLE.format(rows=records))
    async with world(database, MAPPING, sandbox, clock=clock, settings=settings) as joined:
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(joined.service.run(stop))
            made = Book(clock, sandbox, database, joined)
            await joined.source.mark_all("customers", priority=BULK)
            await made.at_rest(records, pause_s=5.0)
            yield made
            stop.set()
    await database.close()


def edited(url: str) -> Cost:
    """1,000 edits of 50 records by chance, spread over five minutes."""

    async def main() -> Cost:
        async with book(url, RECORDS) as here:
            await here.clock.sleep(2 * DEBOUNCE_S)  # the first edits are nobody's trailing edge
            made, began_s = len(here.calls()), here.clock.monotonic()
            for at_s, key in zip(*_edits(), strict=True):
                await here.clock.sleep(began_s + at_s - here.clock.monotonic())
                async with here.database.transaction() as transaction:
                    edit = {"key": key, "email": f"at{at_s:.3f}@example.com"}
                    await transaction.execute_sql(EDIT, edit)
            await here.clock.sleep(began_s + WITHIN_S - here.clock.monotonic())
            within = len(here.calls()) - made
            await here.at_rest(RECORDS)
            total = len(here.calls()) - made
        plain = await _plain(RECORDS)
        met = within <= RECORDS and total <= 2 * RECORDS
        what = f"{EDITS:,} edits of {RECORDS} records in 5 minutes"
        return Cost(what, EDITS, within, total, plain, "50 within them, 100 in all", met)

    return run(main)


def _edits() -> tuple[list[float], list[str]]:
    chance = Chance(17)
    at_s = sorted(WITHIN_S * chance.random() for _ in range(EDITS))
    return at_s, [f"B{chance.integer(1, RECORDS)}" for _ in at_s]


async def _plain(records: int) -> int:
    """The calls of a client that makes one for each edit, of the same edits."""
    clock = VirtualClock()
    sandbox = Sandbox(clock=clock, chance=Chance(3), limits=SandboxLimits.lifted())
    line = Line(workloads(quick=True)["steady/zoho"], sandbox, clock)
    ids: dict[str, str] = {}
    for number in range(1, records + 1):
        body = simplejson.dumps({"display_name": f"B{number}", "email": "c@example.com"}).encode()
        assert (await line.send("POST", "/billing/v1/customers", body))[0] == 201
    for row in sandbox.ledger.records("customers"):
        ids[row["display_name"]] = row["customer_id"]
    made = len(sandbox.ledger.calls())
    for at_s, key in zip(*_edits(), strict=True):
        await clock.sleep(max(0.0, at_s - clock.monotonic()))
        body = simplejson.dumps(
            {"display_name": key, "email": f"at{at_s:.3f}@example.com"}
        ).encode()
        assert (await line.send("PUT", f"/billing/v1/customers/{ids[key]}", body))[0] == 200
    return len(sandbox.ledger.calls()) - made


def unchanged(url: str, records: int) -> Cost:
    """A second run over a book that is in step."""

    async def main() -> Cost:
        async with book(url, records) as here:
            made = len(here.calls())
            await here.joined.source.mark_all("customers", priority=BULK)
            await here.at_rest(records, pause_s=5.0)
            again = len(here.calls()) - made
        what = f"a second run over {records:,} unchanged records"
        return Cost(what, records, again, again, records, "0", again == 0)

    return run(main)


@contextmanager
def _database(place: Ground) -> Iterator[str]:
    with psycopg.connect(place.postgres.url(), autocommit=True) as link:
        for statement in (*FAST, "select pg_reload_conf()"):
            link.execute(statement)
    with place.database() as url:
        yield url


def main() -> int:
    """Measure and show."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calls", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--records", type=int, default=BOOK, help="of the unchanged book")
    told = parser.parse_args()
    began = time.perf_counter()
    with ground() as place:
        say(f"{EDITS:,} edits of {RECORDS} records …")
        with _database(place) as url:
            found = [edited(url)]
        say(f"{told.records:,} records, twice …")
        with _database(place) as url:
            found.append(unchanged(url, told.records))
    seconds = round(time.perf_counter() - began, 1)
    if told.json:
        print(json.dumps({"costs": [asdict(cost) for cost in found], "seconds": seconds}))
        return 0
    for cost in found:
        print(
            f"{cost.what}: {cost.within:,} calls within them, {cost.total:,} in all; one call a"
            f" change: {cost.plain:,} (aim: {cost.aim}, {'met' if cost.met else 'not met'})"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
