"""From a test organisation to a live one: one is active, and the new one starts with no links."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from zohosync.bootstrap import House, open_service
from zohosync.clock import Chance, SystemClock
from zohosync.sandbox import Sandbox, SandboxLimits
from zohosync.settings import Settings, load
from zohosync.store.database import Database, Row
from zohosync.store.organizations import pause_kinds
from zohosync.zoho.door import in_process

SCHEMA = """
create table people (id integer primary key, name text, email text, zoho text, state text);
insert into people values (1, 'Ada', 'ada@example.com'), (2, 'Bob', 'bob@example.com');
"""
TOML = """
[kinds.customers.write_back]
table = "public.people"
key = "id"
zoho_id = "zoho"
status = "state"
"""
MAPPING = "select id as key, name as display_name, email, zoho as zoho_id from people order by id\n"
Made = Callable[[Sandbox, str], Settings]


@pytest.fixture
def made(database_url: str, tmp_path: Path) -> Made:
    """Settings of a real organisation in that mode; its Zoho is a sandbox in this process."""
    (tmp_path / "mapping").mkdir()
    (tmp_path / "mapping" / "customers.sql").write_text(MAPPING, encoding="utf-8")
    (tmp_path / "zohosync.toml").write_text(TOML, encoding="utf-8")

    def make(zoho: Sandbox, mode: str) -> Settings:
        return load(
            tmp_path,
            flags={
                "database.url": database_url,
                "organization.id": zoho.organization_id,
                "organization.mode": mode,
                "worker.debounce_s": 0,
                "zoho.client_id": zoho.client_id,
                "zoho.client_secret": zoho.client_secret,
                "zoho.refresh_token": zoho.refresh_token,
            },
        )

    return make


def pretend(number: str, mode: str) -> Sandbox:
    return Sandbox(
        clock=SystemClock(), chance=Chance(int(number)), mode=mode, organization_id=number,
        limits=SandboxLimits.lifted(),
    )  # fmt: skip


@asynccontextmanager
async def opened(settings: Settings, zoho: Sandbox) -> AsyncIterator[House]:
    async with open_service(
        settings, clock=SystemClock(), chance=Chance(), tell=lambda _: None,
        transport=in_process(zoho.app),
    ) as house:  # fmt: skip
        await pause_kinds(
            house.project.database, house.project.org_id, ["customers"], pause=False, why="test"
        )
        yield house


async def backfilled(settings: Settings, zoho: Sandbox) -> None:
    """All customers into that organisation."""
    async with opened(settings, zoho) as house:
        await house.project.source.mark_all("customers", priority=1)
        async with asyncio.timeout(30):
            await house.service.run_until_idle(asyncio.Event(), poll_s=0.05)


async def rows(url: str, text: str) -> list[Row]:
    database = await Database.open(url, connections=1)
    async with database.transaction() as transaction:
        found = await transaction.fetch_sql(text)
    await database.close()
    return found


async def people(url: str) -> list[tuple[Any, ...]]:
    return [
        tuple(r.values()) for r in await rows(url, "select zoho, state from people order by id")
    ]


@pytest.fixture
async def shop(database_url: str) -> str:
    database = await Database.open(database_url, connections=1)
    async with database.transaction() as transaction:
        await transaction.execute_sql(SCHEMA)
    await database.close()
    return database_url


async def test_a_switch_to_live_starts_with_no_links_and_makes_all_anew(
    shop: str, made: Made
) -> None:
    test, live = pretend("10001", "test"), pretend("20002", "live")
    await backfilled(made(test, "test"), test)
    links = "select key, zoho_id from zohosync.links order by key"
    first = await rows(shop, links)
    assert [row["key"] for row in first] == ["1", "2"]
    async with opened(made(live, "live"), live):
        assert await rows(shop, links) == []
    await backfilled(made(live, "live"), live)
    second = await rows(shop, links)
    assert [row["key"] for row in second] == ["1", "2"]
    assert {row["zoho_id"] for row in second} == {
        row["customer_id"] for row in live.ledger.records("customers")
    }
    assert [len(zoho.ledger.records("customers")) for zoho in (test, live)] == [2, 2]
    active = "select org_id from zohosync.organizations where active"
    assert [row["org_id"] for row in await rows(shop, active)] == ["20002"]


async def test_switching_back_finds_the_links_of_then(shop: str, made: Made) -> None:
    test, live = pretend("10001", "test"), pretend("20002", "live")
    await backfilled(made(test, "test"), test)
    await backfilled(made(live, "live"), live)
    await backfilled(made(test, "test"), test)
    assert [len(zoho.ledger.records("customers")) for zoho in (test, live)] == [2, 2]


async def test_a_test_organisation_writes_nothing_back_and_a_live_one_does(
    shop: str, made: Made
) -> None:
    test, live = pretend("10001", "test"), pretend("20002", "live")
    await backfilled(made(test, "test"), test)
    assert await people(shop) == [(None, None)] * 2
    await backfilled(made(live, "live"), live)
    made_there = {(row["customer_id"], "synced") for row in live.ledger.records("customers")}
    assert set(await people(shop)) == made_there


@pytest.mark.parametrize(("mode", "made_anew"), [("test", 1), ("live", 0)])
async def test_an_id_in_the_mapping_is_a_link_on_a_live_organisation_only(
    shop: str, made: Made, mode: str, made_anew: int
) -> None:
    zoho = pretend("20002", mode)
    there = zoho.by_hand("POST", "/customers", {"display_name": "Ada", "email": "ada@example.com"})
    ada = there["customer"]["customer_id"]
    await rows(shop, f"update people set zoho = '{ada}' where id = 1 returning 1")
    await rows(shop, "delete from people where id = 2 returning 1")
    await backfilled(made(zoho, mode), zoho)
    assert len(zoho.ledger.records("customers")) == 1 + made_anew
    (link,) = await rows(shop, "select zoho_id, status from zohosync.links")
    assert (link["zoho_id"] == ada, link["status"]) == (mode == "live", "synced")
