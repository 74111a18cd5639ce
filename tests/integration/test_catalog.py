"""The kept lists: an unknown plan is refused before it costs a call, and known once it is there."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from zohosync.clock import Chance
from zohosync.core.records import Claim, Ref
from zohosync.core.replies import Closed, Found, Reply
from zohosync.core.sections import Caches
from zohosync.core.steps import Find, Purpose
from zohosync.engine.catalog import LEASE_S, Catalog
from zohosync.sandbox import Sandbox, SandboxLimits
from zohosync.store.catalog import OrgData
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


@asynccontextmanager
async def two(url: str) -> AsyncIterator[tuple[Shop, Catalog, Catalog]]:
    """Two processes on one database, each with a cache and a gate of its own."""
    async with shop(url) as place, AsyncExitStack() as stack:
        other = await stack.enter_async_context(
            world(
                place.joined.database, MAPPING, place.sandbox, clock=place.clock,
                chance=Chance(8), settings=WorldSettings(pace=30.0),
            )
        )  # fmt: skip
        kept = OrgData(place.joined.database, place.sandbox.organization_id)
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        gates = [tasks.create_task(each.gate.run()) for each in (place.joined, other)]
        yield (
            place,
            Catalog(place.joined.remote, kept, Caches(), place.joined.events.append),
            Catalog(other.remote, kept, Caches(), other.events.append),
        )
        for gate in gates:
            gate.cancel()


async def look(cache: Catalog, code: str, clock: VirtualClock) -> Reply:
    """A record without a row is looked for, as its attempt would."""
    ref = Ref("plans", code)
    claim = Claim("1", ref, version=1, epoch=1, priority=5, claimed_at=clock.now())
    return await cache.perform(Find(Purpose.LINK, {"plan_code": code}), claim, 5)


def ids(reply: Reply) -> list[str]:
    assert isinstance(reply, Found), reply
    return [candidate.zoho_id for candidate in reply.candidates]


def both(url: str, story: Callable[[Shop, Catalog, Catalog], Awaitable[None]]) -> None:
    async def main() -> None:
        async with two(url) as (place, here, there):
            await story(place, here, there)

    run(main)


def test_one_of_two_processes_reads_a_list_and_both_are_served(database_url: str) -> None:
    async def story(shop: Shop, here: Catalog, there: Catalog) -> None:
        shop.by_hand("gold")
        async with unclaimed(shop):
            first, second = await asyncio.gather(
                look(here, "gold", shop.clock), look(there, "gold", shop.clock)
            )
            told = [reply for reply in (first, second) if isinstance(reply, Closed)]
            assert [reply.reason for reply in told] == ["its list of plans is being read"]
            assert ids(await look(there, "gold", shop.clock)) == ["gold"]
            assert ids(await look(here, "gold", shop.clock)) == ["gold"]
            assert await shop.calls("plans.list") == 1
            # what it lacks is asked for once a minute, and remembered
            assert ids(await look(here, "silver", shop.clock)) == []
            await shop.clock.sleep(61.0)
            shop.by_hand("silver")
            assert ids(await look(there, "silver", shop.clock)) == ["silver"]
            assert await shop.calls("plans.list") == 2

    both(database_url, story)


def test_an_old_copy_serves_while_it_is_read_and_where_zoho_is_closed(database_url: str) -> None:
    async def story(shop: Shop, here: Catalog, there: Catalog) -> None:
        shop.by_hand("gold")
        async with unclaimed(shop):
            assert ids(await look(here, "gold", shop.clock)) == ["gold"]
            assert await here.refresh() is None, "it is young"
            await shop.clock.sleep(90_000.0)
            replies = await asyncio.gather(
                look(here, "gold", shop.clock), look(there, "gold", shop.clock)
            )
            assert [ids(reply) for reply in replies] == [["gold"], ["gold"]]
            assert await shop.calls("plans.list") == 2
            await shop.clock.sleep(82_000.0)  # its time is nearly over
            assert await there.refresh() == "Zoho's lists were read anew: 1 plans"
            await shop.clock.sleep(90_000.0)
            closed = "update zohosync.organizations set closed_until = '2100-01-01'"
            await change(shop, closed)
            assert ids(await look(here, "gold", shop.clock)) == ["gold"]
            assert isinstance(await look(here, "silver", shop.clock), Closed)
            assert await here.refresh() is None
            assert await shop.calls("plans.list") == 3
            left = await shop.rows("select lease_until from zohosync.org_data_cache")
            assert left == [{"lease_until": None}]

    both(database_url, story)


def test_our_own_write_and_another_mapping_are_seen_at_once(database_url: str) -> None:
    async def story(shop: Shop, here: Catalog, there: Catalog) -> None:
        shop.by_hand("gold")
        async with unclaimed(shop):
            assert ids(await look(here, "gold", shop.clock)) == ["gold"]
            await change(shop, 'update zohosync.organizations set mappings = \'{"plans": "x"}\'')
            assert ids(await look(here, "gold", shop.clock)) == ["gold"]
            assert await shop.calls("plans.list") == 2
            epoch = await here.kept.lease("plans", LEASE_S)
            assert epoch is not None
            assert await here.kept.lease("plans", LEASE_S) is None, "one at a time"
            await there.kept.amend("plans", "ours", {"plan_code": "ours", "status": "active"})
            assert not await here.kept.save("plans", epoch, {}, []), "it began before our write"
            assert ids(await look(here, "ours", shop.clock)) == ["ours"]
            assert await shop.calls("plans.list") == 2
            stuck = await here.kept.lease("plans", LEASE_S)
            assert stuck is not None  # and its process dies
            await shop.clock.sleep(LEASE_S + 61.0)
            assert ids(await look(there, "silver", shop.clock)) == []
            assert await shop.calls("plans.list") == 3
            assert not await here.kept.save("plans", stuck, {}, []), "a frozen one wakes up"
            assert await here.kept.clear() == ["plans"]
            assert await here.kept.ages() == {}

    both(database_url, story)


def test_a_plan_of_ours_is_in_the_copy_once_it_is_made(database_url: str) -> None:
    async def story(shop: Shop) -> None:
        await shop.writes("insert into services values (1, 'gold')", marks="subscriptions 1")
        assert (await shop.row("subscriptions", "1"))["status"] == "failed"
        await shop.writes(GOLD, marks="plans gold")
        kept = await shop.rows("select data -> 'gold' ->> 'plan_code' as code from "
                               "zohosync.org_data_cache where cache_key = 'plans'")  # fmt: skip
        assert kept == [{"code": "gold"}]
        assert (await shop.row("subscriptions", "1"))["status"] == "synced"

    told(database_url, story)


@asynccontextmanager
async def unclaimed(shop: Shop) -> AsyncIterator[None]:
    """Look-ups of the tests' own stand for attempts: the journal knows their records."""
    await change(
        shop,
        "insert into zohosync.records (org_id, kind, key, status, lease_until, lease_epoch) "
        "select org_id, 'plans', k, 'syncing', 'infinity', 1 from zohosync.organizations, "
        "unnest('{gold,silver,ours}'::text[]) k",
    )
    yield


async def change(shop: Shop, text: str) -> None:
    async with shop.joined.database.transaction() as transaction:
        await transaction.execute_sql(text)
