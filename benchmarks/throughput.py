"""Records brought into step per second with the limits lifted, against the in-process sandbox."""

import asyncio
import cProfile
import pstats
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2
import simplejson

from benchmarks.figures import Figure, say, spread
from benchmarks.ground import Ground, opened
from benchmarks.layers import Layer, layers_of
from zohosync.clock import Chance, SystemClock
from zohosync.sandbox import Sandbox, SandboxLimits
from zohosync.store.database import Database
from zohosync.testing.world import World, WorldSettings, world

# The in-process transport asks at every call whether it runs under trio, by an import that fails
# slowly (0.4 ms); this makes it fail fast, for the engine and for the baseline alike.
sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]

CUSTOMERS, ROUNDS, PROFILED = 1_000, 3, 500
AIM = 150.0

SLOTS = 32
"""More than a worker has by default: with limits lifted, so are calls in flight (64)."""

MAPPING = {
    "customers": """
    select c.id as key, c.name as display_name, c.email, c.first_name, c.last_name, c.company_name,
           c.phone, c.street as "billing_address.street", c.city as "billing_address.city",
           c.country as "billing_address.country"
      from public.customers c
    """
}

TABLE = """
create table public.customers (
  id bigint primary key, name text not null, email text not null, first_name text, last_name text,
  company_name text, phone text, street text, city text, country text);
insert into public.customers
select n, 'Customer ' || n, 'customer' || n || '@example.com', 'First ' || n, 'Last ' || n,
       'Company ' || n, '+27 21 555 ' || n, n || ' Long Street', 'Cape Town', 'South Africa'
  from generate_series(1, {customers}) as n;
analyze public.customers;
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One run: how many records, in how many seconds, of which on the processor in this process."""

    records: int
    seconds: float
    cpu_s: float

    @property
    def rate(self) -> float:
        return self.records / self.seconds


def lifted_sandbox() -> Sandbox:
    """A sandbox that limits nobody."""
    return Sandbox(
        clock=SystemClock(),
        chance=Chance(7),
        time_zone="Africa/Johannesburg",
        limits=SandboxLimits(per_minute=None, in_flight=None, per_day=None),
    )


@asynccontextmanager
async def prepared(database: Database, sandbox: Sandbox, customers: int) -> AsyncIterator[World]:
    """A world with that many customers to create, every one of them marked."""
    async with database.transaction() as transaction:
        await transaction.execute_sql(TABLE.format(customers=customers))
    settings = WorldSettings().working(debounce_s=0.0, slots=SLOTS)
    async with world(database, MAPPING, sandbox, settings=settings) as joined:
        await joined.source.mark_all("customers", priority=1)
        yield joined


async def until_done(joined: World, records: int) -> Run:
    """Let the service run until that many records are in step."""
    stop = asyncio.Event()
    seen = len(joined.events)
    done = 0

    def count() -> int:
        nonlocal seen, done
        for event in joined.events[seen:]:
            done += getattr(event, "status", "") == "synced"
        seen = len(joined.events)
        return done

    began, cpu = time.perf_counter(), time.process_time()
    async with asyncio.timeout(120), asyncio.TaskGroup() as tasks:
        working = tasks.create_task(joined.service.run(stop))
        while count() < records:  # noqa: ASYNC110 - events are a list, not to slow what is measured
            await asyncio.sleep(0.02)
        took = Run(records, time.perf_counter() - began, time.process_time() - cpu)
        stop.set()
        await working
    return took


async def engine(url: str, customers: int, *, again: bool = True) -> tuple[Run, Run]:
    """The whole engine: marks folded, claimed, read, planned, journaled, sent, settled.

    Then all of them are marked once more without a change: read and compared, no call.
    """
    sandbox = lifted_sandbox()
    async with opened(url) as database, prepared(database, sandbox, customers) as joined:
        created = await until_done(joined, customers)
        unchanged = created
        if again:
            await joined.source.mark_all("customers", priority=1)
            unchanged = await until_done(joined, customers)
    assert len(sandbox.ledger.records("customers")) == customers
    assert len(sandbox.ledger.requests) == customers + 1  # one for the token
    return created, unchanged


async def bare(customers: int) -> Run:
    """The baseline: the same customers posted one after the other, and nothing written down."""
    sandbox = lifted_sandbox()
    transport = httpx2.ASGITransport(app=sandbox.app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://sandbox.test") as client:
        minted = await client.post(
            "/oauth/v2/token",
            params={
                "grant_type": "refresh_token",
                "client_id": sandbox.client_id,
                "client_secret": sandbox.client_secret,
                "refresh_token": sandbox.refresh_token,
            },
        )
        headers = {
            "authorization": f"Zoho-oauthtoken {minted.json()['access_token']}",
            "X-com-zoho-subscriptions-organizationid": sandbox.organization_id,
            "content-type": "application/json",
        }
        began, cpu = time.perf_counter(), time.process_time()
        for n in range(1, customers + 1):
            reply = await client.post(
                "/billing/v1/customers",
                headers=headers,
                content=simplejson.dumps(_body(n), use_decimal=True),
            )
            assert reply.status_code == 201, reply.text
        run = Run(customers, time.perf_counter() - began, time.process_time() - cpu)
    assert len(sandbox.ledger.records("customers")) == customers
    return run


def _body(n: int) -> dict[str, object]:
    return {
        "display_name": f"Customer {n}",
        "email": f"customer{n}@example.com",
        "first_name": f"First {n}",
        "last_name": f"Last {n}",
        "company_name": f"Company {n}",
        "phone": f"+27 21 555 {n}",
        "billing_address": {
            "street": f"{n} Long Street",
            "city": "Cape Town",
            "country": "South Africa",
        },
        "notes": f"zs:test0001:{n}",
    }


def measure(ground: Ground) -> list[Figure]:
    """Engine and baseline in turn, then one run under the profiler."""
    plain: list[Run] = []
    created: list[Run] = []
    unchanged: list[Run] = []
    for turn in range(ROUNDS):
        say(f"throughput: round {turn + 1} of {ROUNDS} …")
        plain.append(asyncio.run(bare(CUSTOMERS)))
        with ground.database() as url:
            first, second = asyncio.run(engine(url, CUSTOMERS))
        created.append(first)
        unchanged.append(second)
    base = spread([run.rate for run in plain])
    is_ = "a bare client that posts the same customers one after another and writes nothing down"
    value = spread([run.rate for run in created])
    cpu, cpu_bare = (
        spread([run.cpu_s * 1_000 / run.records for run in runs]) for runs in (created, plain)
    )
    rate = spread([run.rate for run in unchanged])
    aim = f"≥ {AIM:g}"
    return [
        Figure("records created", "a second", value, base, is_, aim, value.median >= AIM),
        Figure("records created: processor time", "ms a record", cpu, cpu_bare, is_),
        Figure("unchanged records compared, no call", "a second", rate, base, is_),
    ]


def profile(ground: Ground) -> list[Layer]:
    """Where the time goes, by layer; the profiler itself makes Python about twice as slow."""
    say("throughput: profile …")
    profiler = cProfile.Profile()
    with ground.database() as url:
        profiler.enable()
        asyncio.run(engine(url, PROFILED, again=False))
        profiler.disable()
    return layers_of(pstats.Stats(profiler), PROFILED)
