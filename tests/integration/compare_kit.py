"""A small company, a pretend Zoho that holds part of it, and a comparer between them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from zohosync.clock import Chance, Clock
from zohosync.engine.comparing import Comparer, Outcome
from zohosync.engine.sentinel import Sentinel
from zohosync.errors import ZohosyncError
from zohosync.sandbox import Faults, Sandbox, SandboxLimits
from zohosync.store.comparisons import Comparisons
from zohosync.store.database import Database
from zohosync.testing.virtual import VirtualClock, run
from zohosync.testing.world import World, WorldSettings, world

SCHEMA = """
create table people (id text primary key, name text, email text, phone text);
create table services (id int primary key, person text, plan int default 1);
create table bills (
  id int primary key, person text, number text, total numeric, day date, note text);
create table paid (id int primary key, bill int, amount numeric);
"""
MAPPING = {
    "products": "select 1 as key, 'Access' as name",
    "plans": "select 1 as key, 1 as product_key, 'fibre' as plan_code, 'Fibre' as name, "
    "100 as recurring_price, 1 as interval, 'months' as interval_unit",
    "customers": "select p.id as key, p.name as display_name, p.email, p.phone from people p",
    "subscriptions": "select s.id as key, s.person as customer_key, s.plan as plan_key, "
    "1 as \"plan.quantity\", date '2026-11-01' as starts_at from services s",
    "invoices": "select b.id as key, b.person as customer_key, b.number as invoice_number, "
    "'open' as state, b.day as date, b.day as due_date, b.total, b.note as notes, "
    "jsonb_build_array(jsonb_build_object('name', 'Goods', 'price', b.total, 'quantity', 1)) "
    "as invoice_items from bills b",
    "payments": "select p.id as key, b.person as customer_key, p.amount, b.day as date, "
    "'cash' as payment_mode, 'P-' || p.id as reference_number, "
    "jsonb_build_array(jsonb_build_object('invoice_key', b.id, 'amount_applied', p.amount)) "
    "as invoices from paid p join bills b on b.id = p.bill",
}


@dataclass(slots=True)
class Scene:
    """The parts that a story touches."""

    world: World
    sandbox: Sandbox
    comparer: Comparer
    store: Comparisons
    clock: Clock
    on_page: list[Callable[[str, int], None]]
    waits: list[str]

    async def sql(self, *texts: str) -> None:
        async with self.world.database.transaction() as transaction:
            for text in texts:
                await transaction.execute_sql(text)

    async def rows(self, text: str) -> list[dict[str, Any]]:
        async with self.world.database.transaction() as transaction:
            return await transaction.fetch_sql(text)

    async def compare(self, *kinds: str, link: bool = False) -> dict[str, Outcome]:
        """Compare these kinds through the gate, and link what is sure if asked."""
        found = {}
        async with running(self.world):
            for kind in kinds or tuple(MAPPING):
                found[kind] = await self.comparer.compare(kind)
                if link:
                    await self.link(kind, found[kind].comparison_id)
        return found

    async def link(self, kind: str, comparison_id: int) -> list[str]:
        pairs = await self.store.sure(comparison_id)
        return await self.comparer.link(kind, comparison_id, pairs)

    async def sorts(self, kind: str) -> dict[str, tuple[str, str | None]]:
        """How each row was sorted, and its Zoho id; what is only there by its label."""
        newest = (await self.store.newest())[kind]
        found: dict[str, tuple[str, str | None]] = {}
        async for rows in self.store.verdicts(newest["comparison_id"]):
            found |= {row["key"] or row["label"]: (row["sort"], row["zoho_id"]) for row in rows}
        return found

    def sentinel(self, told: list[str], per_day: int | None = None) -> Sentinel:
        """Who compares by night; what it tells goes into the list."""
        return Sentinel(
            comparer=self.comparer, comparisons=self.store, source=self.world.source,
            clock=self.clock, per_day=per_day,
            tell=lambda event: told.append(getattr(event, "message", "")),
        )  # fmt: skip

    async def work(self) -> None:
        await self.world.service.run_until_idle(asyncio.Event(), poll_s=20.0)


@asynccontextmanager
async def running(joined: World) -> AsyncIterator[None]:
    """The gate lets calls leave meanwhile."""
    async with asyncio.TaskGroup() as tasks:
        gate = tasks.create_task(joined.gate.run())
        try:
            yield
        finally:
            gate.cancel()


@asynccontextmanager
async def closing(database: Database) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await database.close()


def story(
    url: str,
    tell: Callable[[Scene], Awaitable[None]],
    *,
    faults: Faults | None = None,
    mapping: Mapping[str, str] = MAPPING,
    live: bool = False,
    schema: str = "",
) -> Sandbox:
    """Run a story in virtual time; returns the sandbox for a last look."""

    async def main() -> Sandbox:
        clock = VirtualClock()
        sandbox = Sandbox(
            clock=clock, chance=Chance(7), limits=SandboxLimits.lifted(), faults=faults
        )
        database = await Database.open(url, now=clock.now)
        async with database.transaction() as transaction:
            await transaction.execute_sql(f"{SCHEMA};{schema}")
        settings = WorldSettings(pace=30.0).working(
            debounce_s=0.0, lease_s=120.0, heartbeat_s=30.0, poll_s=5.0
        )
        async with (
            closing(database),
            world(database, mapping, sandbox, clock=clock, settings=settings) as joined,
        ):
            store = Comparisons(database, sandbox.organization_id, "test")
            on_page: list[Callable[[str, int], None]] = []

            def told(kind: str, what: str, count: int) -> None:
                for hook in on_page if what == "read" else []:
                    hook(kind, count)

            waits: list[str] = []
            comparer = Comparer(
                remote=joined.remote, source=joined.source, comparisons=store, clock=clock,
                live=live, tell=told, waits=waits.append,
            )  # fmt: skip
            await tell(Scene(joined, sandbox, comparer, store, clock, on_page, waits))
        return sandbox

    return run(main)


def person(sandbox: Sandbox, name: str, email: str, **more: Any) -> str:
    made = sandbox.by_hand("POST", "customers", {"display_name": name, "email": email, **more})
    return str(made["customer"]["customer_id"])


async def seen_id(scene: Scene, name: str) -> str:
    rows = scene.sandbox.ledger.records("customers")
    return next(str(row["customer_id"]) for row in rows if row["display_name"] == name)


def writes(sandbox: Sandbox) -> list[str]:
    """The writing calls that were made through the API, in their order."""
    return [
        call.operation for call in sandbox.ledger.calls() if not call.operation.startswith("GET")
    ]


def crowd(sandbox: Sandbox, count: int) -> list[str]:
    """So many customers in Zoho; and, in front of the list, one whom nobody knows here."""
    ids = [person(sandbox, f"P {n}", f"p{n}@example.com") for n in range(1, count + 1)]
    return [*ids, person(sandbox, "Stranger", "stranger@example.com")]


ROWS = "insert into people select n, 'P ' || n, 'p' || n || '@example.com' from "


async def raised(doing: Awaitable[Any]) -> None:
    """Raise what is wrong, not the group around it."""
    try:
        await doing
    except* ZohosyncError as group:
        raise group.exceptions[0] from None
