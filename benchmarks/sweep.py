"""How long a sweep of a big book takes, and what it costs: python -m benchmarks.sweep [ROWS]."""

import asyncio
import resource
import sys
import time
from dataclasses import dataclass

import simplejson

from benchmarks.ground import ground, opened
from zohosync.core.governor import PLANS
from zohosync.core.kinds import MAPPED
from zohosync.core.plan import Policy
from zohosync.core.records import asked_of
from zohosync.core.survey import Survey
from zohosync.engine.sweep import survey
from zohosync.store.database import Database
from zohosync.store.organizations import register_organization
from zohosync.store.source import Source
from zohosync.store.sweeps import Sweeps

ROWS = 100_000
AIM_S = 20.0
ORG = "1"
BOOK = """
create table people (id integer primary key, name text, email text, street text, city text,
                     phone text);
insert into people
select n, 'Customer ' || n, n || '@example.com', n || ' Long Street', 'Cape Town', '021 000 ' || n
  from generate_series(1, {}) n;
analyze people;
"""
MAPPING = (
    "select p.id as key, p.name as display_name, p.email, p.phone, "
    'p.street as "billing_address.street", p.city as "billing_address.city" from people p'
)
KNOWN = """
insert into zohosync.records (org_id, kind, key, status, version, synced_version, zoho_id, payload,
  asked, remote_state)
select %(org_id)s, 'customers', k.key, 'synced', 1, 1, 'z' || k.key, k.payload::jsonb, k.asked,
       'active'
  from unnest(%(keys)s::text[], %(payloads)s::text[], %(asked)s::text[]) as k (key, payload, asked)
"""


@dataclass(frozen=True, slots=True)
class Swept:
    """One sweep: what it found, seconds by the clock, and seconds that this process worked."""

    what: str
    found: Survey
    took_s: float
    own_s: float


async def measure(url: str, rows: int) -> list[Swept]:
    """Nothing differs; one in a thousand differs; all were edited by the mapping."""
    async with opened(url) as database:
        await register_organization(
            database, org_id=ORG, data_center="us", mode="sandbox", time_zone="UTC",
            currency="ZAR", limits=PLANS["unlimited"], kinds=MAPPED,
        )  # fmt: skip
        async with database.transaction() as transaction:
            await transaction.execute_sql(BOOK.format(rows))
        await _remember(database, await _source(database, MAPPING))
        found = [await _swept(database, "in step", MAPPING)]
        async with database.transaction() as transaction:
            await transaction.execute_sql(
                "update people set name = name || '!' where id % 1000 = 0"
            )
        found.append(await _swept(database, "0.1 % differ", MAPPING))
        edited = MAPPING.replace("p.name as", "upper(p.name) as")
        found.append(await _swept(database, "mapping edited", edited))
        async with database.transaction() as transaction:
            await transaction.execute_sql("truncate people")
        found.append(await _swept(database, "truncated", MAPPING))
        calls = await database.fetch("read_calls", org_id=ORG, kind=None, key=None, limit=1)
        assert not calls
    return found


async def _source(database: Database, text: str) -> Source:
    return await Source.open(
        database, {"customers": text}, installation="bench", marker_field=None, time_zone="UTC"
    )


async def _remember(database: Database, source: Source) -> None:
    """Every row as it would stand had it been synced."""
    batches = [rows async for rows in source.all_rows("customers", batch=5_000)]
    for rows in batches:
        wanted = [source.as_desired("customers", row) for row in rows]
        async with database.transaction() as transaction:
            await transaction.execute_sql(
                KNOWN,
                {
                    "org_id": ORG,
                    "keys": [each.ref.key for each in wanted],
                    "payloads": [
                        simplejson.dumps(each.payload, use_decimal=True) for each in wanted
                    ],
                    "asked": [asked_of(each) for each in wanted],
                },
            )
    async with database.transaction() as transaction:
        await transaction.execute_sql("analyze zohosync.records")


async def _swept(database: Database, what: str, text: str) -> Swept:
    sweeps = Sweeps(database, await _source(database, text), org_id=ORG, worker="bench")
    policy = Policy(installation="bench", when_gone={"customers": "inactive"})
    began, worked = time.perf_counter(), time.process_time()
    found = await survey(sweeps, "customers", policy, moving=True)
    await sweeps.mark("customers", found.marks)
    took, own = time.perf_counter() - began, time.process_time() - worked
    async with database.transaction() as transaction:
        await transaction.execute_sql("delete from zohosync.marks")
    return Swept(what, found, took, own)


def main() -> None:
    """Measure and print: rows, marks, seconds, calls."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    with ground() as base, base.database() as url:
        found = asyncio.run(measure(url, rows))
    columns = ("rows", "marks", "changes", "seconds", "own", "calls")
    print(f"{'a sweep of':16}" + "".join(f"{column:>10}" for column in columns))
    for each in found:
        counts = (each.found.rows, len(each.found.marks), len(each.found.changes))
        shown = "".join(f"{count:>10,}" for count in counts)
        print(f"{each.what:16}{shown}{each.took_s:>10.1f}{each.own_s:>10.1f}{0:>10}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    worst = max(each.took_s for each in found)
    print(f"peak memory {peak:,.0f} MB; aim {AIM_S:g} s for {ROWS:,} rows: worst {worst:.1f} s")


if __name__ == "__main__":
    main()
