"""The kept lists: an unknown plan is refused before it costs a call, and known once it is there."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from zohosync.clock import Chance
from zohosync.sandbox import Sandbox, SandboxLimits
from zohosync.store.database import Database
from zohosync.testing.virtual import VirtualClock, run
from zohosync.testing.world import World, WorldSettings, world

SCHEMA = """
create table people (id int primary key, name text, email text);
create table offers (id text primary key, code text);
create table services (id int primary key, offer text);
insert into people values (1, 'Ada', 'ada@example.com');
"""
MAPPING = {
    "products": "select 1 as key, 'Hosting' as name",
    "plans": "select o.id as key, 1 as product_key, o.code as plan_code, o.id as name, "
    "100 as recurring_price, 1 as interval from offers o",
    "customers": "select p.id as key, p.name as display_name, p.email from people p",
    "subscriptions": "select s.id as key, 1 as customer_key, s.offer as plan_key, "
    '1 as "plan.quantity" from services s',
}
LIST = ("GET", "/plans")


@dataclass(slots=True)
class Shop:
    """A company, its pretend Zoho, and what the tests ask of both."""

    joined: World
    sandbox: Sandbox
    clock: VirtualClock

    async def writes(self, *texts: str, marks: str = "") -> None:
        """The company writes, marks these records, and all that moves by itself is done."""
        async with self.joined.database.transaction() as transaction:
            for text in texts:
                await transaction.execute_sql(text)
            for name in filter(None, marks.split(", ")):
                kind, key = name.split()
                await transaction.execute_sql(f"select zohosync.mark('{kind}', '{key}')")
        await self.rests()

    async def rests(self) -> None:
        await self.joined.service.run_until_idle(asyncio.Event(), poll_s=5.0)

    async def row(self, kind: str, key: str) -> dict[str, Any]:
        rows = await self.rows(
            f"select * from zohosync.records where kind = '{kind}' and key = '{key}'"
        )
        return rows[0]

    async def rows(self, text: str) -> list[dict[str, Any]]:
        async with self.joined.database.transaction(read_only=True) as transaction:
            return await transaction.fetch_sql(text)

    async def says(self, kind: str, key: str) -> str:
        row = await self.row(kind, key)
        return f"{row['status']}: {row['error_message'] or row['zoho_id']}"

    async def calls(self, operation: str) -> int:
        found = await self.rows(
            f"select count(*)::int as n from zohosync.api_calls where operation = '{operation}'"
        )
        return int(found[0]["n"])

    def by_hand(self, code: str) -> None:
        """Somebody makes a plan in Zoho."""
        body = {"name": "Hosting by hand"}
        product = self.sandbox.by_hand("POST", "products", body)["product"]["product_id"]
        plan = {"plan_code": code, "name": code, "product_id": product}
        self.sandbox.by_hand("POST", "plans", plan | {"recurring_price": 5, "interval": 1})


@asynccontextmanager
async def shop(url: str, mapping: dict[str, str] | None = None) -> AsyncIterator[Shop]:
    clock = VirtualClock()
    sandbox = Sandbox(clock=clock, chance=Chance(7), limits=SandboxLimits.lifted())
    database = await Database.open(url, now=clock.now)
    async with database.transaction() as transaction:
        await transaction.execute_sql(SCHEMA)
    settings = WorldSettings(pace=30.0).working(debounce_s=0.0)
    try:
        async with world(
            database, mapping or MAPPING, sandbox, clock=clock, settings=settings
        ) as joined:
            yield Shop(joined, sandbox, clock)
    finally:
        await database.close()


def told(url: str, story: Callable[[Shop], Awaitable[None]], **more: Any) -> None:
    async def main() -> None:
        async with shop(url, **more) as place:
            await story(place)

    run(main)


GOLD = "insert into offers values ('gold', 'gold')"


def test_an_unknown_plan_is_refused_with_the_near_ones_and_without_a_writing_call(
    database_url: str,
) -> None:
    async def story(shop: Shop) -> None:
        await shop.writes(GOLD, "insert into services values (1, 'gold')", marks="subscriptions 1")
        assert (await shop.row("subscriptions", "1"))["status"] == "synced"
        assert await shop.calls("plans.list") == 0, "what has a row costs no look"
        bad = [f"insert into services values ({n}, 'glod')" for n in range(2, 12)]
        await shop.writes(*bad, marks=", ".join(f"subscriptions {n}" for n in range(2, 12)))
        assert await shop.says("subscriptions", "2") == (
            "failed: unknown plan 'glod': no row of plans has that key, and Zoho has none of that "
            "plan_code; near it: gold"
        )
        row = await shop.row("subscriptions", "2")
        assert (row["error_class"], row["error_field"]) == ("validation", "plan_key")
        assert await shop.calls("subscriptions.create") == 1, "the sound one alone"
        assert await shop.calls("plans.list") <= 2, "one look for all, one more for the late ones"
        states = await shop.rows("select distinct status from zohosync.records where key::int > 1"
                                 " and kind = 'subscriptions'")  # fmt: skip
        assert states == [{"status": "failed"}]

    told(database_url, story)


@pytest.mark.parametrize("way", ["by hand, and touched", "by hand", "a row", "the row"])
def test_a_refused_subscription_goes_on_once_its_plan_is_known(database_url: str, way: str) -> None:
    async def story(shop: Shop) -> None:
        await shop.writes(GOLD, marks="plans gold")
        await shop.writes("insert into services values (1, 'silver')", marks="subscriptions 1")
        assert (await shop.says("subscriptions", "1")).startswith("failed: unknown plan 'silver'")
        made = await shop.calls("plans.create")
        match way:
            case "by hand, and touched":
                shop.by_hand("silver")
                await shop.writes(marks="subscriptions 1")
            case "by hand":
                shop.by_hand("silver")
                await shop.clock.sleep(3_700.0)
                await shop.rests()
            case "a row":
                await shop.writes(
                    "insert into offers values ('silver', 'silver-2')", marks="plans silver"
                )
                made += 1
            case "the row":
                await shop.writes("update services set offer = 'gold'", marks="subscriptions 1")
        assert (await shop.row("subscriptions", "1"))["status"] == "synced"
        assert await shop.calls("plans.create") == made
        assert await shop.calls("subscriptions.create") == 1

    told(database_url, story)


def test_a_plan_of_zohos_own_is_linked_and_left_as_it_is(database_url: str) -> None:
    async def story(shop: Shop) -> None:
        await shop.writes(GOLD, marks="plans gold")
        shop.by_hand("silver")
        shop.sandbox.by_hand("POST", "plans/silver/markasinactive", {})
        await shop.writes("insert into services values (1, 'silver')", marks="subscriptions 1")
        assert "near it: silver (inactive in Zoho)" in await shop.says("subscriptions", "1")
        shop.by_hand("bronze")
        await shop.writes("insert into services values (2, 'bronze')", marks="subscriptions 2")
        await shop.clock.sleep(60.0)
        before = await shop.calls("plans.list")
        await shop.writes("insert into services values (3, 'bronze')", marks="subscriptions 3")
        assert (await shop.row("subscriptions", "3"))["status"] == "synced"
        assert await shop.calls("plans.list") == before, "it is linked"
        assert await shop.says("plans", "bronze") == (
            "skipped: it is Zoho's own: no row here has its key"
        )
        written = await shop.rows(
            "select distinct key from zohosync.api_calls where kind = 'plans' and method <> 'GET'"
        )
        assert written == [{"key": "gold"}]

    told(database_url, story)


def test_where_no_plans_are_mapped_their_keys_are_zohos_codes(database_url: str) -> None:
    async def story(shop: Shop) -> None:
        shop.by_hand("gold")
        await shop.writes("insert into services values (1, 'gold')", marks="subscriptions 1")
        assert (await shop.row("subscriptions", "1"))["status"] == "synced"

    fewer = {kind: text for kind, text in MAPPING.items() if kind in ("customers", "subscriptions")}
    told(database_url, story, mapping=fewer)
