"""A small company whose records wait for a person's word, in virtual time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from zohosync.clock import Chance
from zohosync.core.plan import Policy
from zohosync.core.records import Ref
from zohosync.core.settling import Word
from zohosync.engine.settling import Bench
from zohosync.errors import LeaseLostError, SettingsError
from zohosync.sandbox import Fault, Faults, Sandbox, SandboxLimits
from zohosync.store.database import Database
from zohosync.store.settling import Settling
from zohosync.testing.virtual import VirtualClock, run
from zohosync.testing.world import World, WorldSettings, world

MAPPING = {
    "customers": "select p.id as key, p.name as display_name, p.email, p.phone from people p",
    "invoices": "select b.id as key, b.person as customer_key, b.number as invoice_number, "
    "b.state, b.amount as total, date '2026-01-15' as date, date '2026-02-15' as due_date, "
    "jsonb_build_array(jsonb_build_object('name', 'Goods', 'price', b.amount, 'quantity', 1)) "
    "as invoice_items from bills b",
}
TABLES = """
create table people (id text primary key, name text, email text, phone text);
create table bills (id text primary key, person text, number text, amount numeric(14, 2),
  state text default 'open')
"""
ADA = "insert into people values ('{}', 'Ada', 'ada@example.com')"
BOB = "insert into people values ('{}', 'Bob', 'bob@example.com')"
BILL = "insert into bills values ('{}', '{}', '{}', 100)"


@dataclass(slots=True)
class Office:
    """The company, its pretend Zoho, and the person who settles."""

    joined: World
    sandbox: Sandbox
    clock: VirtualClock

    @property
    def bench(self) -> Bench:
        """What the person judges with; reads in Zoho go through the gate."""
        joined = self.joined
        return Bench(
            Settling(joined.database, self.sandbox.organization_id), joined.records,
            joined.source, Policy(), read=joined.remote.read,
        )  # fmt: skip

    async def says(self, kind: str, key: str, word: str, zoho_id: str | None = None) -> None:
        """A word that applies."""
        async with asyncio.TaskGroup() as tasks:
            gate = tasks.create_task(self.joined.gate.run())
            try:
                spoken = await self.bench.consider(Ref(kind, key), Word(word), zoho_id)
                await self.bench.write(spoken, "a test")
            finally:
                gate.cancel()

    async def refused(self, kind: str, key: str, word: str, zoho_id: str | None = None) -> str:
        """A word that does not; returns what is said of that. Nothing is changed by it."""
        before = await self.rows()
        with pytest.raises((SettingsError, ExceptionGroup)) as raised:
            await self.says(kind, key, word, zoho_id)
        assert await self.rows() == before
        error: BaseException = raised.value
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        assert isinstance(error, SettingsError)
        return str(error)

    async def writes(self, *texts: str, marks: str = "") -> None:
        """The company writes, and marks these records ("customers 1, invoices 2")."""
        async with self.joined.database.transaction() as transaction:
            for text in texts:
                await transaction.execute_sql(text)
            for name in filter(None, marks.split(", ")):
                kind, key = name.split()
                await transaction.execute_sql(
                    "select zohosync.mark(%(kind)s, %(key)s)", {"kind": kind, "key": key}
                )

    async def rests(self) -> None:
        """Work until nothing moves by itself."""
        await self.joined.service.run_until_idle(asyncio.Event(), poll_s=20.0)

    async def settled(self, *texts: str, marks: str) -> None:
        """Write, and have it brought into step."""
        await self.writes(*texts, marks=marks)
        await self.rests()

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """The service works meanwhile."""
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.joined.service.run(stop))
            yield
            stop.set()
            self.joined.worker.wake()

    async def refused_unlinked(self, kind: str, key: str, zoho_id: str) -> str:
        """A link that is refused, of a record that has none."""
        unlink = f"update zohosync.records set zoho_id = null where kind = '{kind}'"
        await self.writes(f"{unlink} and key = '{key}'")
        return await self.refused(kind, key, "link", zoho_id)

    async def overtaken(self, kind: str, key: str, word: str) -> None:
        """A word whose record changes while a person reads what it will do."""
        spoken = await self.bench.consider(Ref(kind, key), Word(word))
        await self.writes(marks=f"{kind} {key}")
        await self.joined.records.fold_marks()
        before = await self.rows()
        with pytest.raises(LeaseLostError, match="changed while it was looked at"):
            await self.bench.write(spoken, "a test")
        assert await self.rows() == before

    async def sql(self, text: str) -> list[dict[str, Any]]:
        """Rows of a SELECT."""
        async with self.joined.database.transaction() as transaction:
            return await transaction.fetch_sql(text)

    async def rows(self) -> list[dict[str, Any]]:
        """All that is known, and all acts."""
        return [
            *await self.sql("select * from zohosync.records order by kind, key"),
            *await self.sql("select * from zohosync.audit order by audit_id"),
        ]

    async def record(self, kind: str, key: str) -> dict[str, Any]:
        """One record."""
        (row,) = await self.sql(
            f"select * from zohosync.records where kind = '{kind}' and key = '{key}'"
        )
        return row

    async def stands(self, kind: str, key: str) -> str:
        """Its status, and how its message begins."""
        row = await self.record(kind, key)
        words = (row["error_message"] or "").partition(":")[0]
        return f"{row['status']} {words}".strip()

    def customers(self) -> list[str]:
        """The names of the customers in Zoho, sorted."""
        return sorted(str(row["display_name"]) for row in self.sandbox.ledger.records("customers"))

    def id_of(self, name: str) -> str:
        """The id of the one customer of that name in Zoho."""
        (found,) = (
            row["customer_id"]
            for row in self.sandbox.ledger.records("customers")
            if row["display_name"] == name
        )
        return str(found)


Story = Callable[[Office], Awaitable[None]]


def tell(
    url: str, story: Story, *faults: Fault, mapping: Mapping[str, str] = MAPPING, **when_gone: str
) -> None:
    """Live through a story in virtual time; `when_gone` is by kind, as in the settings."""

    async def main() -> None:
        clock = VirtualClock()
        sandbox = Sandbox(
            clock=clock, chance=Chance(7), limits=SandboxLimits.lifted(), faults=Faults(faults)
        )
        database = await Database.open(url, now=clock.now)
        async with database.transaction() as transaction:
            for text in TABLES.split(";"):
                await transaction.execute_sql(text)
        settings = WorldSettings(pace=30.0, when_gone=when_gone).working(
            lease_s=120.0, heartbeat_s=30.0, poll_s=5.0
        )
        async with world(database, mapping, sandbox, clock=clock, settings=settings) as joined:
            await story(Office(joined, sandbox, clock))
        await database.close()

    run(main)
