"""Records brought into step per second with the limits lifted, against the in-process sandbox."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2
import simplejson

from benchmarks.figures import say
from benchmarks.ground import Ground, opened
from zohosync.clock import Chance, SystemClock
from zohosync.engine.worker import WorkerSettings
from zohosync.sandbox import Sandbox, SandboxLimits
from zohosync.store.database import Database
from zohosync.testing.world import World, WorldSettings, world

SLOTS = 10
"""As a worker has them by default."""

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
    settings = WorldSettings(debounce_s=0.0, worker=WorkerSettings(slots=SLOTS))
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
        while count() < records:
            await asyncio.sleep(0.02)
        took = Run(records, time.perf_counter() - began, time.process_time() - cpu)
        stop.set()
        await working
    return took


async def engine(url: str, customers: int) -> Run:
    """The whole engine: marks folded, claimed, read, planned, journaled, sent, settled."""
    sandbox = lifted_sandbox()
    async with opened(url) as database, prepared(database, sandbox, customers) as joined:
        run = await until_done(joined, customers)
    assert len(sandbox.ledger.records("customers")) == customers
    return run


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


if __name__ == "__main__":
    from benchmarks.ground import ground

    with ground() as g:
        for _ in range(2):
            b = asyncio.run(bare(1000))
            say(f"bare {b.rate:.0f}/s cpu {b.cpu_s:.2f} of {b.seconds:.2f}")
            with g.database() as url:
                r = asyncio.run(engine(url, 1000))
                say(f"engine {r.rate:.0f}/s cpu {r.cpu_s:.2f} of {r.seconds:.2f}")
