"""Forgetting: nothing of ours tells of the person any more, and nothing is ever made twice."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import pytest

from zohosync.clock import Chance
from zohosync.core.privacy import REDACTED, forbids
from zohosync.core.records import Ref, Status
from zohosync.core.settling import Word
from zohosync.engine.settling import Bench
from zohosync.errors import LeaseLostError
from zohosync.sandbox import Fault, Faults, Sandbox, SandboxLimits
from zohosync.store.capture import Watch, install_watches
from zohosync.store.database import Database, Row
from zohosync.store.settling import Settling
from zohosync.store.upkeep import Forgetting, Forgotten
from zohosync.testing.virtual import VirtualClock, run
from zohosync.testing.world import World, WorldSettings, world

SCHEMA = """
create table people (id integer primary key, name text, email text);
create table bills (id integer primary key, person integer, number text, price numeric);
"""
MAPPING = {
    "customers": "select id as key, name as display_name, email from people",
    "invoices": """
      select id as key, person as customer_key, number as invoice_number, date '2026-11-01' as date,
             jsonb_build_array(jsonb_build_object('name', 'Line', 'price', price, 'quantity', 1))
               as invoice_items, 'open' as state from bills
    """,
}
WATCHES = [
    Watch("public.people", "customers", key="id"),
    Watch("public.bills", "invoices", key="id"),
]
ANN = Ref("customers", "1")
CREATE = "POST /customers"
ADA = "insert into people values (1, 'Ann Archer', 'ann@example.com')"
ALERT = """
insert into zohosync.alerts (org_id, fingerprint, topic, body, example_kind, example_key)
select org_id, 'test', 'test', 'customers 1 and customers 12 wait', 'customers', '1'
  from zohosync.organizations
"""
GONE = "delete from people where id = 1"
TABLES = """
select table_name::text as name from information_schema.tables
 where table_schema = 'zohosync' and table_type = 'BASE TABLE'
"""


@dataclass
class Town:
    """A company with people and bills, and one worker."""

    clock: VirtualClock
    sandbox: Sandbox
    database: Database
    joined: World

    async def sql(self, *statements: str) -> None:
        async with self.database.transaction() as transaction:
            for text in statements:
                await transaction.execute_sql(text)

    async def rows(self, text: str, **params: str) -> list[Row]:
        async with self.database.transaction() as transaction:
            return await transaction.fetch_sql(text, params or None)

    async def quiet(self, seconds: float = 400.0) -> None:
        """Let the worker work for so long."""
        await self.clock.sleep(seconds)

    async def forget(self, ref: Ref = ANN) -> Forgotten:
        return await Forgetting(self.database, self.sandbox.organization_id).forget(ref, "asked")

    async def finish(self) -> str | None:
        return await Forgetting(self.database, self.sandbox.organization_id).finish()

    async def record(self, ref: Ref = ANN) -> Row | None:
        text = "select * from zohosync.records where kind = %(kind)s and key = %(key)s"
        return next(iter(await self.rows(text, kind=ref.kind, key=ref.key)), None)

    async def traces(self) -> list[str]:
        """The tables of ours that still tell of Ann."""
        told = []
        for table in await self.rows(TABLES):
            rows = await self.rows(f"select to_jsonb(x) as row from zohosync.{table['name']} x")
            if any(_tells(row["row"]) for row in rows):
                told.append(table["name"])
        return sorted(told)

    async def say(self, word: Word, ref: Ref = ANN) -> None:
        settling = Settling(self.database, self.sandbox.organization_id)
        joined = self.joined
        bench = Bench(settling, joined.records, joined.source, joined.worker._settings.policy)
        await bench.write(await bench.consider(ref, word), "a test")

    def made(self, kind: str = "customers") -> int:
        return len(self.sandbox.ledger.records(kind))


def _tells(row: dict[str, Any]) -> bool:
    """Whether a row of ours names her, or her key."""
    named = row.get("kind") == ANN.kind and row.get("key") == ANN.key
    named = named or (row.get("example_kind"), row.get("example_key")) == (ANN.kind, ANN.key)
    return named or "Ann Archer" in str(row) or "ann@example" in str(row)


@asynccontextmanager
async def town(url: str, faults: Faults | None = None, poll_s: float = 10.0) -> AsyncIterator[Town]:
    clock = VirtualClock()
    sandbox = Sandbox(clock=clock, chance=Chance(7), limits=SandboxLimits.lifted(), faults=faults)
    database = await Database.open(url, now=clock.now)
    async with database.transaction() as transaction:
        await transaction.execute_sql(SCHEMA)
    settings = WorldSettings(pace=30.0).working(
        poll_s=poll_s, debounce_s=0.0, lease_s=120.0, heartbeat_s=50.0
    )
    async with world(database, MAPPING, sandbox, clock=clock, settings=settings) as joined:
        await install_watches(database, WATCHES, clock=clock)
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(joined.service.run(stop))
            yield Town(clock, sandbox, database, joined)
            stop.set()
    await database.close()


def play(
    url: str,
    story: Callable[[Town], Awaitable[None]],
    faults: Faults | None = None,
    poll_s: float = 10.0,
) -> None:
    async def main() -> None:
        async with town(url, faults, poll_s) as here:
            await story(here)

    run(main)


def test_nothing_of_ours_tells_of_who_was_forgotten(
    database_url: str,
) -> None:
    async def story(here: Town) -> None:
        await here.sql(ADA)
        await here.quiet(60.0)
        (log,) = await here.rows("select * from zohosync.sync_logs where step = 'create'")
        assert log["request_payload"]["email"] == REDACTED
        assert log["response_payload"]["display_name"] == REDACTED
        (call,) = await here.rows("select intent from zohosync.api_calls where intent is not null")
        assert call["intent"]["email"] == REDACTED
        assert await here.traces() == ["api_calls", "records", "sync_logs"]
        await here.sql(GONE)
        await here.quiet(60.0)
        await here.sql(ALERT)
        done = await here.forget()
        assert (done.pending, done.remembered) == (False, True)
        assert await here.traces() == []
        (alert,) = await here.rows("select body from zohosync.alerts where topic = 'test'")
        assert alert["body"] == f"customers {done.alias} and customers 12 wait"
        (left,) = await here.rows("select * from zohosync.forgotten")
        assert (
            left["zoho_id"]
            == done.zoho_id
            == here.sandbox.ledger.records("customers")[0]["customer_id"]
        )
        (act,) = await here.rows("select * from zohosync.audit where act = 'forget'")
        assert (act["why"], act["target"]) == ("asked", f"customers {done.alias}")
        counted = "select count(*)::int as n from zohosync.sync_logs where status = 'success'"
        assert (await here.rows(counted))[0]["n"] == 1  # it still counts
        assert here.made() == 1

    play(database_url, story)


def test_a_key_that_comes_back_is_for_a_person_to_say_and_made_only_by_their_word(
    database_url: str,
) -> None:
    async def story(here: Town) -> None:
        await here.sql(ADA)
        await here.quiet(60.0)
        await here.sql(GONE)
        await here.quiet(60.0)
        zoho_id = (await here.forget()).zoho_id
        await here.sql("insert into people values (1, 'Bob', 'bob@example.com')")
        await here.quiet(60.0)
        await here.sql("update people set name = 'Rob' where id = 1")
        await here.quiet()
        record = await here.record()
        assert record is not None
        assert (record["status"], record["error_code"]) == ("failed", "re-used")
        assert record["zoho_id"] == zoho_id
        assert here.made() == 1
        await here.say(Word.NEW)
        await here.quiet(60.0)
        assert here.made() == 2
        record = await here.record()
        assert record is not None
        assert record["status"] == "synced"
        assert record["excluded"] == [zoho_id]

    play(database_url, story)


def test_who_is_the_same_after_all_is_linked_again(database_url: str) -> None:
    async def story(here: Town) -> None:
        await here.sql(ADA)
        await here.quiet(60.0)
        await here.sql(GONE)
        await here.quiet(60.0)
        await here.forget()
        await here.sql("insert into people values (1, 'Ann Baker', 'ann@example.org')")
        await here.quiet(60.0)
        await here.say(Word.SAME)
        await here.quiet(60.0)
        (row,) = here.sandbox.ledger.records("customers")
        assert (row["display_name"], row["email"]) == ("Ann Baker", "ann@example.org")

    play(database_url, story)


def test_while_a_write_is_in_doubt_it_stays_and_the_rest_goes_by_itself_afterwards(
    database_url: str,
) -> None:
    lost = Faults([Fault("lost_reply", CREATE, times=1), Fault("lost_reply", "GET *", times=50)])

    async def story(here: Town) -> None:
        await here.sql(ADA)
        await here.quiet(60.0)
        record = await here.record()
        assert record is not None
        assert record["status"] == "uncertain"
        await here.sql(GONE)
        await here.quiet(1.0)
        done = await here.forget()
        assert done.pending
        assert "forgotten" not in await here.traces()
        record = await here.record()
        assert record is not None
        assert (record["payload"], record["intent_id"] is not None) == (None, True)
        here.sandbox.set_faults(Faults())
        await here.quiet(7_200.0)
        assert await here.traces() == []
        (left,) = await here.rows("select zoho_id from zohosync.forgotten")
        assert left["zoho_id"] == here.sandbox.ledger.records("customers")[0]["customer_id"]
        await here.sql(ADA)
        await here.quiet()
        assert here.made() == 1

    play(database_url, story, lost)


def test_its_children_stay_and_go_on_with_its_link(database_url: str) -> None:
    async def story(here: Town) -> None:
        await here.sql(ADA, "insert into bills values (5, 1, 'INV-5', 100)")
        await here.quiet()
        await here.sql(GONE)
        await here.quiet(60.0)
        zoho_id = (await here.forget()).zoho_id
        await here.sql("insert into bills values (6, 1, 'INV-6', 50)")
        await here.quiet()
        bills = here.sandbox.ledger.records("invoices")
        assert [bill["customer_id"] for bill in bills] == [zoho_id] * 2
        assert await here.rows("select * from zohosync.records where kind = 'customers'") == []
        assert here.made() == 1

    play(database_url, story)


def test_a_number_that_comes_back_under_another_key_is_not_made_again(database_url: str) -> None:
    async def story(here: Town) -> None:
        await here.sql(ADA, "insert into bills values (5, 1, 'INV-5', 100)")
        await here.quiet()
        await here.sql("delete from bills")
        await here.quiet(60.0)
        done = await here.forget(Ref("invoices", "5"))
        await here.sql("insert into bills values (9, 1, 'INV-5', 100)")
        await here.quiet()
        record = await here.record(Ref("invoices", "9"))
        assert record is not None
        assert (record["status"], record["error_code"]) == ("failed", "renamed")
        assert str(done.zoho_id) in record["error_message"]
        assert here.made("invoices") == 1

    play(database_url, story)


def test_a_key_that_is_named_again_without_a_row_is_forgotten_again(database_url: str) -> None:
    async def story(here: Town) -> None:
        await here.sql(ADA)
        await here.quiet(60.0)
        await here.sql(GONE)
        await here.quiet(60.0)
        await here.forget()
        await here.sql("select zohosync.mark('customers', '1', 10)")
        await here.quiet(30.0)
        assert await here.record() is not None
        await here.quiet(700.0)
        assert await here.record() is None
        assert len(await here.rows("select 1 as one from zohosync.forgotten")) == 1
        assert here.made() == 1

    play(database_url, story)


def test_what_is_being_worked_on_is_not_forgotten(database_url: str) -> None:
    async def story(here: Town) -> None:
        await here.sql(ADA)
        await here.joined.records.fold_marks()
        await here.joined.records.claim(1)
        before = await here.record()
        with pytest.raises(LeaseLostError, match="being worked on"):
            await here.forget()
        assert await here.record() == before

    play(database_url, story)


def test_a_row_that_is_there_and_an_ending_that_is_due_forbid_it(database_url: str) -> None:
    async def story(here: Town) -> None:
        await here.sql(ADA)
        await here.quiet(60.0)
        policy = here.joined.worker._settings.policy
        settling = Settling(here.database, here.sandbox.organization_id)
        standing = await settling.standing(ANN)
        assert standing is not None
        there = forbids(ANN, standing.claim, policy, row=True)
        assert there is not None
        assert "is in your table" in there.what
        assert forbids(ANN, standing.claim, policy, row=False) is None
        ends = type(policy)(when_gone={"customers": "inactive"})
        due = forbids(ANN, standing.claim, ends, row=False)
        assert due is not None
        assert "markasinactive" in due.what
        waits = replace(standing.claim, status=Status.WAITING)
        held = forbids(ANN, waits, ends, row=False)
        assert held is not None
        assert "another row says the same" in held.what
        assert "zohosync why customers" in str(held.next_step)
        assert forbids(ANN, None, ends, row=False) is None

    play(database_url, story)


@pytest.mark.parametrize("seed", range(2))
def test_no_order_of_forgetting_coming_back_and_editing_makes_a_second_record(
    database_url: str, seed: int
) -> None:
    """Replies are lost, too; who makes a second one is only a person's word, and none is said."""
    chance = Chance(seed)
    faults = Faults([Fault("lost_reply", CREATE, rate=0.3)], Chance(seed))

    async def story(here: Town) -> None:
        there: set[int] = set()
        for step in range(30):
            key = chance.integer(1, 3)
            act = chance.integer(0, 5)
            if act <= 1 and key not in there:
                await here.sql(
                    f"insert into people values ({key}, 'P{step}', '{step}@example.com')"
                )
                there.add(key)
            elif act == 2 and key in there:
                await here.sql(f"update people set name = 'Q{step}' where id = {key}")
            elif act == 3 and key in there:
                await here.sql(f"delete from people where id = {key}")
                there.discard(key)
            elif act >= 4 and key not in there:
                with suppress(LeaseLostError):
                    await here.forget(Ref("customers", str(key)))
            await here.quiet([0.0, 45.0, 90.0, 900.0][chance.integer(0, 3)])
        here.sandbox.set_faults(Faults())
        await here.quiet(4_000.0)
        notes = [str(row.get("notes")) for row in here.sandbox.ledger.records("customers")]
        assert len(notes) == len(set(notes)) <= 3
        ended = await here.rows("select error_code from zohosync.records")
        assert "re-used" in [row["error_code"] for row in ended], "no key came back"

    play(database_url, story, faults, poll_s=40.0)
