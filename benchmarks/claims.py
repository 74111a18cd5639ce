"""How long a claim takes as the books grow, and how long marks take to fold."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import psycopg

from benchmarks.figures import Figure, percentile, say, spread
from benchmarks.ground import Ground, opened
from zohosync.core.governor import PLANS
from zohosync.core.kinds import MAPPED
from zohosync.store.organizations import register_organization
from zohosync.store.records import Records

SIZES = (1_000, 100_000, 1_000_000)
TAKES, TAKE = 200, 10
"""How many claims are timed, and of how many records."""

MARKS, FOLDS = 10_000, 5
AIM_MS = 5.0
ORG = "1"

Link = psycopg.AsyncConnection

# A fifth is due, two fifths come due later, two fifths rest; nothing in the upkeep lane is due.
FILL = """
insert into zohosync.records (org_id, kind, key, priority, status, due_at, version, synced_version,
  zoho_id, payload)
select '1', (array['customers', 'subscriptions', 'invoices', 'payments'])[n %% 4 + 1], n::text,
       case when n %% 5 in (3, 4) then 0 else (array[10, 5, 1])[n %% 3 + 1] end,
       case when n %% 5 in (1, 2) then 'synced' else 'pending' end,
       case when n %% 5 = 0 then zohosync.current_time() - n * interval '1 ms'
            when n %% 5 in (3, 4)
              then zohosync.current_time() + interval '1 h' + n * interval '1 ms'
       end,
       2, 1, 'z' || n, jsonb_build_object('display_name', 'Customer ' || n)
  from generate_series(%(low)s::bigint, %(high)s::bigint) as n
"""
# Back at the end of the queue: like a record that was settled and marked again.
BACK = """
update zohosync.records
   set lease_until = null, lease_worker = null, status = 'pending',
       due_at = zohosync.current_time()
 where lease_until is not null
"""
# The baseline: the same write of as many rows, named by their keys; nothing has to be found.
NAMED = """
update zohosync.records r
   set status = 'syncing', lease_epoch = r.lease_epoch + 1, lease_worker = 'bench',
       lease_until = zohosync.current_time() + interval '8 s'
  from unnest(%(kinds)s::text[], %(keys)s::text[]) as named (kind, key)
 where r.org_id = '1' and r.kind = named.kind and r.key = named.key
returning r.*
"""


def measure(ground: Ground) -> list[Figure]:
    """Claims at each size; folds at the last."""
    with ground.database() as url:
        return asyncio.run(_measure(url))


async def _measure(url: str) -> list[Figure]:
    figures: list[Figure] = []
    link = await psycopg.AsyncConnection.connect(url, autocommit=True)
    async with link, opened(url) as database:
        await register_organization(
            database,
            org_id=ORG,
            data_center="us",
            mode="sandbox",
            time_zone="UTC",
            currency="ZAR",
            limits=PLANS["unlimited"],
            kinds=MAPPED,
        )
        records = Records(database, org_id=ORG, worker="bench", lease_s=60.0, debounce_s=300.0)
        filled = 0
        for size in SIZES:
            say(f"claims: {size:,} records …")
            await link.execute(FILL, {"low": filled + 1, "high": size})
            await link.execute("vacuum analyze zohosync.records")  # as autovacuum leaves a table
            filled = size
            figures += await _claims(link, records, size)
        say(f"claims: folding {MARKS:,} marks …")
        figures.append(await _folds(link, records))
    return figures


async def _claims(link: Link, records: Records, size: int) -> list[Figure]:
    took: list[float] = []
    named: list[float] = []
    idle: list[float] = []
    for turn in range(TAKES + 20):
        claimed, seconds = await _timed(partial(records.claim, TAKE))
        assert len(claimed) == TAKE
        await link.execute(BACK)
        refs = {
            "kinds": [claim.ref.kind for claim in claimed],
            "keys": [claim.ref.key for claim in claimed],
        }
        _, again = await _timed(partial(link.execute, NAMED, refs))
        await link.execute(BACK)
        nothing, empty = await _timed(partial(records.claim, TAKE, (0,)))
        assert not nothing
        if turn >= 20:
            took.append(seconds * 1_000)
            named.append(again * 1_000)
            idle.append(empty * 1_000)
    p95, base95 = (spread(_percentiles(each)) for each in (took, named))
    what = f"claim of {TAKE} at {size:,} records"
    baseline = "the same update of 10 records named by key"
    return [
        Figure(f"{what}, p50", "ms", spread(took), spread(named), baseline),
        Figure(
            f"{what}, p95", "ms", p95, base95, baseline,
            f"≤ {AIM_MS:g}", p95.median <= AIM_MS,
        ),
        Figure(f"{what}, none of them due", "ms", spread(idle), spread(named), baseline),
    ]  # fmt: skip


async def _folds(link: Link, records: Records) -> Figure:
    """Marks of records that are known, half of them twice; two folds of 5,000."""
    took: list[float] = []
    gone: list[float] = []
    mark = (
        "insert into zohosync.marks (kind, key, op, priority)"
        " select kind, key, 'U', 5 from zohosync.records"
        " where key::int between %(low)s and %(high)s"
    )
    for turn in range(FOLDS + 1):
        bounds = {"low": turn * MARKS + 1, "high": (turn + 1) * MARKS}
        await link.execute(mark, bounds)
        began = time.perf_counter()
        while await records.fold_marks():
            pass
        if turn:
            took.append((time.perf_counter() - began) * 1_000)
        await link.execute(mark, bounds)
        _, seconds = await _timed(partial(link.execute, "delete from zohosync.marks"))
        if turn:
            gone.append(seconds * 1_000)
    return Figure(
        f"fold of {MARKS:,} marks into {SIZES[-1]:,} records", "ms", spread(took), spread(gone),
        "the same marks deleted, and nothing else",
    )  # fmt: skip


def _percentiles(values: list[float]) -> list[float]:
    """The 95th percentile of each block of 50, so that its own scatter is seen."""
    return [percentile(values[start : start + 50], 95) for start in range(0, len(values), 50)]


async def _timed(work: Callable[[], Awaitable[Any]]) -> tuple[Any, float]:
    began = time.perf_counter()
    found = await work()
    return found, time.perf_counter() - began
