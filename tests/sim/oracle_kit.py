"""A small company, its world at work, and the scene that judges see of it, with a way back."""

import asyncio
import copy
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from zohosync.clock import Chance
from zohosync.core.governor import PLANS, Limits
from zohosync.core.records import BULK
from zohosync.sandbox import Fault, Faults, Ledger, Sandbox, SandboxLimits
from zohosync.sandbox.books import Shelf
from zohosync.simulate.oracles import Scene, Violation, judge
from zohosync.store.database import Database
from zohosync.testing.virtual import VirtualClock, run
from zohosync.testing.world import World, WorldSettings, world

SCHEMA = """
create table shelves (id text primary key, name text);
create table offers (id text primary key, name text, price numeric);
create table people (id int primary key, name text, email text, active boolean default true);
create table services (id int primary key, person int, offer text, ended boolean default false);
create table bills (id int primary key, person int, number text, price numeric,
  service int, status text default 'open');
create table receipts (id int primary key, person int, amount numeric, reference text,
  status text default 'paid');
create table parts (receipt int, bill int, amount numeric);
insert into shelves values ('net', 'Internet');
insert into offers values ('f', 'Fibre', 100), ('l', 'LTE', 50);
insert into people select n, 'Person ' || n, 'p' || n || '@example.com'
  from generate_series(1, 6) n;
insert into services values (1, 1, 'f'), (2, 2, 'l');
insert into bills select n, n, 'B-' || n, 40 + n from generate_series(1, 6) n;
insert into bills values (7, 6, 'B-7', 20, null, 'open'), (8, 1, '', 100, 1, 'open'),
  (9, 5, 'B-9', 9, null, 'void');
insert into receipts values (1, 1, 47.15, 'R-1'), (2, 2, 20, 'R-2'), (3, 6, 60, 'R-3');
insert into parts values (1, 1, 47.15), (2, 2, 20), (3, 6, 40), (3, 7, 20);
"""
MAPPING = {
    "products": "select s.id as key, s.name from shelves s",
    "plans": "select o.id as key, 'net' as product_key, 'plan-' || o.id as plan_code, o.name, "
    "o.price as recurring_price, 1 as interval, 'months' as interval_unit, 'VAT 15' as tax "
    "from offers o",
    "customers": "select p.id as key, p.name as display_name, p.email, "
    "case when p.active then 'active' else 'inactive' end as state from people p",
    "subscriptions": "select s.id as key, s.person as customer_key, s.offer as plan_key, "
    '1 as "plan.quantity", o.price as "plan.price", '
    "case when s.ended then 'cancelled' else 'live' end as state "
    "from services s join offers o on o.id = s.offer",
    "invoices": "select b.id as key, b.person as customer_key, b.service as subscription_key, "
    "case when b.service is null then 'us' else 'zoho' end as raised_by, b.status as state, "
    "b.number as invoice_number, date '2026-11-22' as date, date '2026-12-22' as due_date, "
    "round(b.price * 1.15, 2) as total, jsonb_build_array(jsonb_build_object("
    "'name', 'Use', 'price', b.price, 'quantity', 1, 'tax', 'VAT 15')) as invoice_items "
    "from bills b",
    "payments": "select r.id as key, r.person as customer_key, r.amount, r.status as state, "
    "date '2026-11-22' as date, 'cash' as payment_mode, r.reference as reference_number, "
    "(select jsonb_agg(jsonb_build_object('invoice_key', t.bill, 'amount_applied', t.amount) "
    "order by t.bill) from parts t where t.receipt = r.id) as invoices from receipts r",
}
COUNTS = ("emails", "charges", "refunds", "deletions")
TABLES = ("records", "sync_logs", "api_calls", "marks", "token_cache", "workers", "usage_days")


@dataclass
class Stage:
    """A world at work, and the scene that its judges are going to see."""

    joined: World
    sandbox: Sandbox
    clock: VirtualClock
    scene: Scene
    settings: WorldSettings = field(default_factory=WorldSettings)

    async def sql(self, *texts: str) -> None:
        """Change tables by hand."""
        async with self.joined.database.transaction() as transaction:
            for text in texts:
                await transaction.execute_sql(text)

    async def rest(self) -> None:
        """Work until nothing is left to do."""
        await self.joined.service.run_until_idle(asyncio.Event(), poll_s=20.0)

    async def backfill(self, priority: int = BULK) -> None:
        """Bring everything into step."""
        for kind in MAPPING:
            await self.joined.source.mark_all(kind, priority=priority)
        await self.rest()

    def remote(self, kind: str, **wanted: Any) -> dict[str, Any]:
        """The record in Zoho that has these fields."""
        return next(
            row
            for row in self.sandbox.ledger.records(kind)
            if all(row[name] == value for name, value in wanted.items())
        )

    @property
    def ledger(self) -> Ledger:
        """What really happened."""
        return self.sandbox.ledger

    def shelf(self, kind: str) -> Shelf:
        """The sandbox's own shelf of a kind."""
        books, billing, catalog = self.sandbox.books, self.sandbox.billing, self.sandbox.catalog
        return {
            "products": books.products,
            "plans": books.plans,
            "customers": books.customers,
            "subscriptions": catalog.subscriptions,
            "invoices": billing.invoices,
            "payments": billing.payments,
        }[kind]

    def row(self, kind: str, **wanted: Any) -> dict[str, Any]:
        """The sandbox's own row of the record in Zoho that has these fields."""
        shelf = self.shelf(kind)
        return shelf.rows[self.remote(kind, **wanted)[shelf.id_field]]

    def change(self, kind: str, fields: dict[str, Any], **wanted: Any) -> None:
        """Change a record in Zoho behind everybody's back."""
        self.shelf(kind).change(self.row(kind, **wanted), fields)

    def limited(self, **numbers: Any) -> None:
        """Judge by other limits than those that held."""
        self.scene = replace(self.scene, limits=replace(self.scene.limits, **numbers))

    @asynccontextmanager
    async def as_it_was(self) -> AsyncIterator[None]:
        """Afterwards, everything that is judged is as before."""
        kinds = list(MAPPING)
        rows = {kind: copy.deepcopy(self.shelf(kind).rows) for kind in kinds}
        indexes = {kind: copy.deepcopy(self.shelf(kind)._index) for kind in kinds}
        requests = [replace(request) for request in self.ledger.requests]
        counts = {name: getattr(self.ledger, name) for name in COUNTS}
        scene = self.scene
        await self.sql(*(f"create table kept_{t} as table zohosync.{t}" for t in TABLES))
        yield
        for kind in kinds:
            self.shelf(kind).rows = rows[kind]
            self.shelf(kind)._index = indexes[kind]
        self.ledger.requests[:] = requests
        for name, count in counts.items():
            setattr(self.ledger, name, count)
        self.scene = scene
        for t in TABLES:
            await self.sql(
                f"delete from zohosync.{t}",
                f"insert into zohosync.{t} overriding system value table kept_{t}",
                f"drop table kept_{t}",
            )
        await self.sql("update zohosync.organizations set day_calls = 500")

    def touch(self, kind: str, zoho_id: str, what: str) -> None:
        """Remember what a person did."""
        self.scene = replace(self.scene, touched={**self.scene.touched, (kind, zoho_id): what})


Play = Callable[[Stage], Awaitable[None]]


def judged(
    url: str,
    play: Play,
    *,
    faults: tuple[Fault, ...] = (),
    limits: Limits = PLANS["premium"],
    theirs: SandboxLimits | None = None,
    latency_s: tuple[float, float] = (0.1, 0.4),
) -> list[Violation]:
    """What the judges say after a play in virtual time."""

    async def main() -> list[Violation]:
        clock = VirtualClock()
        sandbox = Sandbox(
            clock=clock, chance=Chance(7), faults=Faults(faults), latency_s=latency_s,
            limits=theirs or SandboxLimits(), time_zone="Africa/Johannesburg",
        )  # fmt: skip
        database = await Database.open(url, now=clock.now)
        async with database.transaction() as transaction:
            await transaction.execute_sql(SCHEMA)
        settings = WorldSettings(pace=30.0, limits=limits).working(
            lease_s=120.0, heartbeat_s=30.0, poll_s=5.0
        )
        async with world(database, MAPPING, sandbox, clock=clock, settings=settings) as joined:
            scene = Scene(
                database=database, source=joined.source, sandbox=sandbox,
                org_id=sandbox.organization_id, excuse=lambda *_: None, touched={},
                limits=limits,
            )  # fmt: skip
            stage = Stage(joined, sandbox, clock, scene, settings)
            await play(stage)
            violations = await judge(stage.scene)
        await database.close()
        return violations

    return run(main)


async def right(stage: Stage) -> None:
    """Everything in step, once more after changes of every sort."""
    await stage.backfill()
    await stage.sql(
        "update people set name = 'Ada' where id = 1",
        "update people set active = false where id = 4",
        "update services set ended = true where id = 2",
        "update bills set status = 'void' where id = 3",
        "insert into people values (9, 'New', 'new@example.com')",
    )
    await stage.backfill(5)


TROUBLE = (
    Fault("lost_reply", "POST /customers", nth=2),
    Fault("late_commit", "POST /invoices", nth=3, seconds=200.0),
    Fault("rate_limit", "POST /payments", nth=1, code=43, seconds=900.0),
    Fault("error_before_commit", "PUT *", nth=1),
    Fault("rate_limit", "*/oauth/*"),
)


async def troubled(stage: Stage) -> None:
    """As `right`, with everything that TROUBLE does on the way."""
    await right(stage)
    stage.scene = replace(stage.scene, blocks_scripted=1)
