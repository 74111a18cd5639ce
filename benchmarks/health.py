"""How long health, status and the dashboard's figures take over a large book."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import psycopg

from benchmarks.figures import Figure, percentile, say, spread
from benchmarks.ground import Ground, opened
from zohosync.core.governor import PLANS
from zohosync.core.health import judge_health
from zohosync.core.kinds import KINDS, MAPPED
from zohosync.store.database import Database
from zohosync.store.health import Vitals
from zohosync.store.history import History
from zohosync.store.organizations import register_organization
from zohosync.store.usage import Usage

SIZE = 1_000_000
LOOKS, GUIDES = 60, 8
"""How often each is timed; the guide's own query takes a while."""

UNFOLDED = 2_000
"""Changes that upkeep has not summed yet: some seconds of work at full speed."""

AIM_MS = 50.0
ORG = "1"
Link = psycopg.AsyncConnection

# A book in the middle of a backfill, after some years: most of it in step.
RECORDS = """
insert into zohosync.records (org_id, kind, key, status, version, synced_version, zoho_id, due_at,
  waiting_kind, waiting_key, error_class, error_message, settled_at, success_at)
select '1', k.kind, n::text, s.status, 2, 1,
       case when s.status in ('synced', 'failed') then k.kind || n end,
       case when s.status in ('pending', 'retrying')
            then zohosync.current_time() + (n %% 7200 - 60) * interval '1 s' end,
       case when s.status = 'waiting' then 'customers' end,
       case when s.status = 'waiting' then (n %% 1000)::text end,
       case when s.status = 'failed' then 'validation' end,
       case when s.status = 'failed' then 'no e-mail for reason ' || n %% 7 end,
       zohosync.current_time(), zohosync.current_time()
  from generate_series(1, %(size)s::bigint) as n,
       lateral (select (array['customers', 'subscriptions', 'invoices', 'invoices', 'payments'])
                         [n %% 5 + 1] as kind) k,
       lateral (select case when n %% 100 = 1 then 'failed' when n %% 100 < 4 then 'waiting'
                            when n %% 100 < 10 then 'pending' when n %% 100 = 10 then 'skipped'
                            else 'synced' end as status) s
"""
EVIDENCE = """
insert into zohosync.api_calls (org_id, door, lane, kind, key, worker, operation, method, path,
  started_at, deadline, finished_at, counts_until, sent, status, outcome)
select '1', 'api', 1, 'customers', n::text, 'w', 'customers.create', 'POST', '/customers',
       t.at, t.at, t.at, t.at, true, 201, 'accepted'
  from generate_series(1, 60000) n,
       lateral (select zohosync.current_time() - (60000 - n) * interval '10 s' as at) t;
insert into zohosync.sync_logs (org_id, kind, key, version, zoho_entity_type, step, status, result,
  attempt_number, duration_ms, calls, worker, created_at)
select '1', 'customers', n::text, 1, 'customer', 'create',
       case when n % 50 = 0 then 'failed' else 'success' end, 'created', 1, 700, 1, 'w',
       zohosync.current_time() - (60000 - n) * interval '10 s'
  from generate_series(1, 60000) n;
insert into zohosync.workers (worker, org_id, host, pid, version)
select 'w' || n, '1', 'h', n, '0' from generate_series(1, 4) n;
update zohosync.records set looks = looks + 1 where key::int % 100000 = 1;
"""
# The user's own four tables as the guide has them, with as many rows; and its dashboard query.
THEIRS = """
create table public.customers (id bigint primary key, account_type text not null,
  zoho_billing_customer_id text, zoho_sync_status text, filler text);
create table public.customer_services (id bigint primary key, zoho_subscription_id text,
  zoho_sync_status text, filler text);
create table public.customer_invoices (id bigint primary key, zoho_billing_invoice_id text,
  zoho_sync_status text, filler text);
create table public.payment_transactions (id bigint primary key, zoho_payment_id text,
  zoho_sync_status text, filler text);
insert into public.customers select key::bigint, 'business', zoho_id, status, repeat('x', 200)
  from zohosync.records where kind = 'customers';
insert into public.customer_services select key::bigint, zoho_id, status, repeat('x', 200)
  from zohosync.records where kind = 'subscriptions';
insert into public.customer_invoices select key::bigint, zoho_id, status, repeat('x', 200)
  from zohosync.records where kind = 'invoices';
insert into public.payment_transactions select key::bigint, zoho_id, status, repeat('x', 200)
  from zohosync.records where kind = 'payments';
create index on public.customers (zoho_sync_status) where account_type != 'internal_test';
create index on public.customer_services (zoho_sync_status);
create index on public.customer_invoices (zoho_sync_status);
create index on public.payment_transactions (zoho_sync_status);
"""
GUIDES_QUERY = """
with sync_stats as (
  select 'customers' as entity_type,
         count(*) filter (where zoho_billing_customer_id is not null) as synced,
         count(*) as total, count(*) filter (where zoho_sync_status = 'failed') as failed
    from customers where account_type != 'internal_test'
  union all
  select 'services', count(*) filter (where zoho_subscription_id is not null), count(*),
         count(*) filter (where zoho_sync_status = 'failed') from customer_services
  union all
  select 'invoices', count(*) filter (where zoho_billing_invoice_id is not null), count(*),
         count(*) filter (where zoho_sync_status = 'failed') from customer_invoices
  union all
  select 'payments', count(*) filter (where zoho_payment_id is not null), count(*),
         count(*) filter (where zoho_sync_status = 'failed') from payment_transactions
)
select entity_type, synced, total, failed, round(synced * 100.0 / nullif(total, 0), 2) as sync_rate
  from sync_stats
"""
BASELINE = "the guide's dashboard query over the user's four tables, as many rows in all"
RPC = "select * from public.get_zoho_sync_health()"
RECOUNT = "select kind, status, count(*) from zohosync.records where org_id = '1' group by 1, 2"


def measure(ground: Ground, size: int = SIZE) -> list[Figure]:
    """Each beside the guide's query, one after the other in turns."""
    with ground.database() as url:
        return asyncio.run(_measure(url, size))


async def _measure(url: str, size: int) -> list[Figure]:
    link = await psycopg.AsyncConnection.connect(url, autocommit=True)
    async with link, opened(url) as database:
        say(f"health: {size:,} records and as many rows of the user's …")
        await _fill(link, database, size)
        vitals = Vitals(database, ORG)
        assert await vitals.mend() == []
        looks: dict[str, Callable[[], Awaitable[Any]]] = {
            "health": partial(_health, vitals),
            "status": partial(_status, database),
            "dashboard figures": partial(
                link.execute, "select * from public.get_zoho_sync_health()"
            ),
        }
        say("health: looking …")
        guides = [await _ms(partial(link.execute, GUIDES_QUERY)) for _ in range(GUIDES)][2:]
        recounts = [await _ms(partial(link.execute, RECOUNT)) for _ in range(GUIDES)][2:]
        figures = []
        for name, look in looks.items():
            took = [await _ms(look) for _ in range(LOOKS + 5)][5:]
            p95 = spread([percentile(took[at : at + 20], 95) for at in range(0, LOOKS, 20)])
            ratio = spread(guides).median / spread(took).median
            figures.append(
                Figure(
                    f"{name} at {size:,} records, p95 (x{ratio:.0f} of the guide's)", "ms", p95,
                    spread(guides), BASELINE, f"≤ {AIM_MS:g}", p95.median <= AIM_MS,
                )
            )  # fmt: skip
        mended = [await _ms(vitals.mend) for _ in range(3)]
        figures.append(
            Figure("counts mended (by the hour)", "ms", spread(mended), spread(recounts),
                   "a full count of the records by kind and status")
        )  # fmt: skip
        return figures


async def _fill(link: Link, database: Database, size: int) -> None:
    await register_organization(
        database, org_id=ORG, data_center="us", mode="sandbox", time_zone="UTC", currency="ZAR",
        limits=PLANS["premium"], kinds=MAPPED,
    )  # fmt: skip
    await link.execute(RECORDS, {"size": size})
    await link.execute(EVIDENCE)
    await Vitals(database, ORG).fold()
    await link.execute(THEIRS)
    await link.execute(
        "insert into zohosync.count_deltas (org_id, kind, status, linked, timed, records) "
        "select '1', 'customers', case when n %% 4 < 2 then 'syncing' else 'pending' end, false, "
        "true, 1 - 2 * (n %% 2) from generate_series(1, %(n)s) n",
        {"n": UNFOLDED},
    )
    await link.execute("vacuum analyze")


async def _health(vitals: Vitals) -> None:
    facts = await vitals.facts(version="0", mapped=MAPPED)
    assert facts is not None
    assert judge_health(facts).checks


async def _status(database: Database) -> None:
    """All that `zohosync status` asks."""
    history = History(database, ORG)
    await history.organization()
    counts = await history.counts()
    progress = await history.progress()
    assert {row["kind"] for row in counts} <= set(KINDS)
    await history.reasons()
    await history.workers()
    await history.alive()
    await Usage(database, ORG).remaining_s(progress.moving)


async def _ms(work: Callable[[], Awaitable[Any]]) -> float:
    began = time.perf_counter()
    await work()
    return (time.perf_counter() - began) * 1_000
