"""How long claims take while 1,000,000 old rows are let go of: python -m benchmarks.pruning [ROWS].

Beside it the guide's own way, one big DELETE, on the same rows.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import psycopg

from benchmarks.claims import BACK, FILL, TAKE
from benchmarks.figures import Figure, Spread, percentile, say, spread
from benchmarks.ground import Ground, ground, opened
from zohosync.clock import SystemClock
from zohosync.core.governor import PLANS
from zohosync.core.kinds import MAPPED
from zohosync.engine.keeper import prune
from zohosync.store.database import Database
from zohosync.store.organizations import register_organization
from zohosync.store.records import Records
from zohosync.store.upkeep import PRUNES, Upkeep

ROWS, RECORDS = 1_000_000, 100_000
AIM_MS = 10.0
KEEP_DAYS = 90
QUIET, PAUSE_S = 200, 0.02
ORG = "1"

Link = psycopg.AsyncConnection

OLD = """
insert into zohosync.sync_logs (org_id, kind, key, version, zoho_entity_type, zoho_entity_id, step,
  status, result, attempt_number, duration_ms, calls, worker, created_at, request_payload)
select '1', 'customers', mod(n, 100000)::text, 1, 'customer', 'z' || n, 'update', 'success',
       'updated', 1, 900, 1, 'bench', zohosync.current_time() - interval '400 days'
         + n * interval '20 s', jsonb_build_object('display_name', '[redacted]', 'n', n)
  from generate_series(1, %(rows)s::bigint) as n
"""
GUIDES = "delete from zohosync.sync_logs where created_at < now() - interval '90 days'"


@dataclass(frozen=True, slots=True)
class Spell:
    """What claims took while something went on, in ms, and how long that was, in seconds."""

    claims: list[float]
    took_s: float

    def p95(self) -> Spread:
        """By blocks of 50, so that its own scatter is seen; the median is over all of them."""
        blocks = [self.claims[at : at + 50] for at in range(0, len(self.claims), 50)]
        each = [percentile(block, 95) for block in blocks if len(block) >= 20]
        overall = percentile(self.claims, 95)
        return Spread(overall, min([overall, *each]), max([overall, *each]))


def measure(place: Ground, rows: int = ROWS) -> list[Figure]:
    """Claims alone, while we prune, and while the guide does."""
    with place.database() as url:
        return asyncio.run(_measure(url, rows))


async def _measure(url: str, rows: int) -> list[Figure]:
    link = await psycopg.AsyncConnection.connect(url, autocommit=True)
    async with link, opened(url) as database:
        await register_organization(
            database, org_id=ORG, data_center="us", mode="sandbox", time_zone="UTC",
            currency="ZAR", limits=PLANS["unlimited"], kinds=MAPPED,
        )  # fmt: skip
        records = Records(database, org_id=ORG, worker="bench", lease_s=60.0, debounce_s=300.0)
        await link.execute(FILL, {"low": 1, "high": RECORDS})
        await link.execute("vacuum analyze zohosync.records")
        quiet = await _beside(link, records, lambda: asyncio.sleep(QUIET * PAUSE_S))
        say(f"pruning: {rows:,} rows, our way …")
        await _fill(link, rows)
        ours = await _beside(link, records, lambda: _prune(database))
        await _nothing_left(link)
        say(f"pruning: {rows:,} rows, one DELETE …")
        await _fill(link, rows)
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as other:
            guides = await _beside(link, records, lambda: other.execute(GUIDES))
        await _nothing_left(link)
    return _figures(rows, quiet, ours, guides)


def _figures(rows: int, quiet: Spell, ours: Spell, guides: Spell) -> list[Figure]:
    what, theirs = f"while {rows:,} old rows are pruned", "the guide's one DELETE of the same rows"
    p95 = ours.p95()
    return [
        Figure(
            f"claim of {TAKE} {what}, p95", "ms", p95, guides.p95(), theirs,
            f"≤ {AIM_MS:g}", p95.median <= AIM_MS,
        ),
        Figure(
            f"claim of {TAKE} {what}, p50", "ms", spread(ours.claims), spread(guides.claims), theirs
        ),
        Figure(
            f"claim of {TAKE} and nothing besides, p95", "ms", quiet.p95(), None, "",
        ),
        Figure(
            f"pruning {rows:,} rows", "s", spread([ours.took_s]), spread([guides.took_s]), theirs
        ),
    ]  # fmt: skip


async def _fill(link: Link, rows: int) -> None:
    await link.execute(OLD, {"rows": rows})
    await link.execute("vacuum analyze zohosync.sync_logs")
    await link.execute("checkpoint")


async def _nothing_left(link: Link) -> None:
    found = await (await link.execute(
        "select count(*) from zohosync.sync_logs where created_at < now() - interval '90 days'"
    )).fetchone()  # fmt: skip
    assert found == (0,), found
    await link.execute("truncate zohosync.sync_logs")


async def _prune(database: Database) -> None:
    days = dict.fromkeys(PRUNES, KEEP_DAYS)
    await prune(Upkeep(database, ORG, "bench"), days, SystemClock())


async def _beside(link: Link, records: Records, work: Callable[[], Awaitable[object]]) -> Spell:
    """Claim again and again while the work goes on."""
    took: list[float] = []
    for _ in range(20):  # warm
        await records.claim(TAKE)
        await link.execute(BACK)

    async def timed() -> float:
        began = time.perf_counter()
        await work()
        return time.perf_counter() - began

    async with asyncio.TaskGroup() as tasks:
        working = tasks.create_task(timed())
        while not working.done():
            began = time.perf_counter()
            claimed = await records.claim(TAKE)
            took.append((time.perf_counter() - began) * 1_000)
            assert len(claimed) == TAKE
            await link.execute(BACK)
            await asyncio.sleep(PAUSE_S)
    return Spell(took, working.result())


def main() -> None:
    """Measure and print, with the ratio to the guide's way."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    with ground() as place:
        figures = measure(place, rows)
    for figure in figures:
        ratio, base = "", figure.baseline
        if base is not None:
            ratio = f"   {figure.value.median / base.median:.2f} of {base.shown()}"
        met = {None: "", True: f"   aim {figure.aim}: met", False: f"   aim {figure.aim}: not met"}
        print(f"{figure.name}: {figure.value.shown()} {figure.unit}{ratio}{met[figure.met]}")


if __name__ == "__main__":
    main()
