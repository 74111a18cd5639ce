"""How long a day's key figures take: python -m benchmarks.metrics [ATTEMPTS]."""

import asyncio
import sys
import time
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import psycopg

from benchmarks.figures import Figure, say, spread
from benchmarks.ground import Ground, ground, opened
from zohosync.core.governor import PLANS
from zohosync.core.kinds import MAPPED
from zohosync.core.kpis import day_bounds
from zohosync.store.metrics import Metrics
from zohosync.store.organizations import register_organization

SIZE = 1_000_000
"""Attempts of the day that is rolled up."""

TURNS = 5
AIM_S = 2.0
ORG, ZONE = "1", "Africa/Johannesburg"
KEEP_DAYS = 90

# Four fifths of the attempts end a sync; the rest are further steps, and tries that did not end it.
LOGS = """
insert into zohosync.sync_logs (org_id, kind, key, version, zoho_entity_type, step, status, result,
  attempt_number, duration_ms, calls, worker, changes, sync_ms, sync_calls, created_at)
select '1', (array['customers', 'subscriptions', 'invoices', 'payments'])[(r / 20) %% 4 + 1],
       r::text, 1, 'x', case when n %% 20 = 0 then 'nothing' else 'update' end,
       case n %% 20 when 3 then 'failed' when 4 then 'pending' when 5 then 'retrying'
                    when 6 then 'uncertain' else 'success' end,
       'updated', 1, 150 + (n * 7919) %% 4000, case when n %% 20 = 0 then 0 else 1 end, 'w', 1,
       150 + (n * 7919) %% 4000 + case when n %% 20 = 7 then 1000 else 0 end,
       case when n %% 20 = 0 then 0 else 1 end,
       %(began)s::timestamptz + (n * 86400.0 / %(size)s) * interval '1 s'
  from generate_series(0, %(size)s::bigint - 1) n,
       lateral (select case when n %% 20 in (4, 5, 6) then n - 3 else n end as r) of_record
"""
CALLS = """
insert into zohosync.api_calls (org_id, door, lane, kind, key, worker, operation, method, path,
  started_at, deadline, counts_until, sent, outcome)
select '1', 'api', 5, (array['customers', 'subscriptions', 'invoices', 'payments'])[n %% 4 + 1], n,
       'w', 'x', 'PUT', '/', t.at, t.at, t.at, true, 'accepted'
  from generate_series(0, %(size)s::bigint - 1) n,
       lateral (select %(began)s::timestamptz
                       + (n * 86400.0 / %(size)s) * interval '1 s' as at) t
"""
# The guide's calculation: every row of the last 24 hours goes to the client, which counts one
# figure.
GUIDE = "select kind, status from zohosync.sync_logs where created_at >= %(began)s"
SAME = (
    "select kind, count(*) filter (where status = 'success') * 100.0 / count(*)"
    " from zohosync.sync_logs where created_at >= %(began)s group by kind"
)


def measure(place: Ground, size: int = SIZE) -> list[Figure]:
    """The roll-up of yesterday, the guide's own way, and its one figure in SQL."""
    with place.database() as url:
        return asyncio.run(_measure(url, size))


async def _measure(url: str, size: int) -> list[Figure]:
    day = (datetime.now(UTC) - timedelta(days=1)).astimezone(ZoneInfo(ZONE)).date()
    began, _ = day_bounds(day, ZoneInfo(ZONE))
    link = await psycopg.AsyncConnection.connect(url, autocommit=True)
    async with link, opened(url) as database:
        await register_organization(
            database, org_id=ORG, data_center="us", mode="sandbox", time_zone=ZONE,
            currency="ZAR", limits=PLANS["unlimited"], kinds=MAPPED,
        )  # fmt: skip
        say(f"metrics: {size:,} attempts and as many calls …")
        for text in (LOGS, CALLS):
            await link.execute(text, {"began": began, "size": size})
        await link.execute("vacuum analyze zohosync.sync_logs")
        await link.execute("vacuum analyze zohosync.api_calls")
        metrics = Metrics(database, ORG)
        ours, guide, in_sql = [], [], []
        for _ in range(TURNS):
            ours.append(await _rolled_up(metrics, day))
            guide.append(await _fetched(link, began))
            start = time.perf_counter()
            await link.execute(SAME, {"began": began})
            in_sql.append(time.perf_counter() - start)
    return _figures(size, ours, guide, in_sql)


async def _rolled_up(metrics: Metrics, day: date) -> float:
    start = time.perf_counter()
    rows = await metrics.roll_up(day, KEEP_DAYS)
    took = time.perf_counter() - start
    assert rows
    return took


async def _fetched(link: psycopg.AsyncConnection, began: datetime) -> float:
    start = time.perf_counter()
    totals: dict[str, int] = {}
    good: dict[str, int] = {}
    cursor = await link.execute(GUIDE, {"began": began})
    for kind, status in await cursor.fetchall():
        totals[kind] = totals.get(kind, 0) + 1
        good[kind] = good.get(kind, 0) + (status == "success")
    assert all(good[kind] < totals[kind] for kind in totals)
    return time.perf_counter() - start


def _figures(size: int, ours: list[float], guide: list[float], in_sql: list[float]) -> list[Figure]:
    value = spread(ours)
    what = f"a day's key figures over {size:,} attempts"
    return [
        Figure(
            f"{what}, all 11", "s", value, spread(guide),
            "the guide: every row is fetched, and one figure counted in the client",
            f"≤ {AIM_S:g}", value.median <= AIM_S,
        ),
        Figure(
            f"{what}, beside one in SQL", "s", value, spread(in_sql),
            "the guide's one figure counted in SQL, nothing written",
        ),
    ]  # fmt: skip


def main() -> None:
    """Measure over so many attempts, and print."""
    size = int(sys.argv[1]) if len(sys.argv) > 1 else SIZE
    with ground() as base:
        for figure in measure(base, size):
            baseline = figure.baseline.shown() if figure.baseline else ""
            print(f"{figure.name}: {figure.value.shown()} s; {baseline} s: {figure.baseline_is}")


if __name__ == "__main__":
    main()
