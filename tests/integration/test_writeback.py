"""Write-back on a real Postgres: what it writes, when it does not, and that it wakes nobody."""

import asyncio
import logging

import psycopg
import pytest

from zohosync.clock import Chance, SystemClock
from zohosync.core.governor import PLANS
from zohosync.core.kinds import MAPPED
from zohosync.core.records import ErrorClass, Problem, Ref, Status
from zohosync.core.settlement import Settlement
from zohosync.errors import DatabaseError, SettingsError
from zohosync.events import Noted
from zohosync.sandbox import Sandbox, serving
from zohosync.store import connection
from zohosync.store.capture import Watch, install_watches
from zohosync.store.database import Database, Row
from zohosync.store.organizations import pause_kinds, register_organization
from zohosync.store.records import AttemptNote, Records
from zohosync.store.writeback import WriteBack, WriteBackColumns
from zohosync.testing.world import WorldSettings, world

ADA, BOB = Ref("customers", "1"), Ref("customers", "2")
LINKED = Settlement(Status.SYNCED, "created", zoho_id="9001", remote_state="active")
REFUSED = Settlement(
    Status.FAILED, "failed", problem=Problem(ErrorClass.VALIDATION, "no e-mail " * 20)
)
COLUMNS = WriteBackColumns(
    "public.customers", "id", zoho_id="zoho %s id", status="state", synced_at="at", error="error"
)
SCHEMA = """
create type sync_state as enum ('pending', 'synced', 'failed', 'waiting', 'skipped', 'retrying');
create table customers (
  id integer primary key, name text, "zoho %s id" bigint, state sync_state, at timestamptz(0),
  error varchar(30), edits integer default 0);
create function stamp() returns trigger language plpgsql as
  $$ begin new.edits := old.edits + 1; return new; end $$;
create trigger updated_at before update on customers for each row execute function stamp();
insert into customers values (1, 'Ada'), (2, 'Bob');
"""


@pytest.fixture
async def records(any_database: Database) -> Records:
    async with any_database.transaction() as transaction:
        await transaction.execute_sql(SCHEMA)
    await install_watches(
        any_database, [Watch("public.customers", "customers", key="id")], clock=SystemClock()
    )
    await register(any_database, "sandbox")
    return Records(any_database, org_id="1", worker="w", lease_s=60, debounce_s=0)


async def register(database: Database, mode: str) -> None:
    await register_organization(
        database,
        org_id="1",
        data_center="us",
        mode=mode,
        time_zone="UTC",
        currency=None,
        limits=PLANS["premium"],
        kinds=MAPPED,
    )


async def settle(database: Database, records: Records, settlement: Settlement, ref: Ref) -> None:
    """Mark a record, claim it, and let its attempt end so."""
    async with database.transaction() as transaction:
        await transaction.execute_sql(f"select zohosync.mark('{ref.kind}', '{ref.key}', 10)")
    await records.fold_marks()
    for claim in await records.claim(10):
        assert claim.ref == ref
        await records.settle(claim, settlement, AttemptNote("create", "customer", 1))


async def row(database: Database, key: int = 1) -> Row:
    async with database.transaction() as transaction:
        text = 'select "zoho %s id" as id, state::text, at, error, edits from customers where id = '
        return (await transaction.fetch_sql(f"{text}{key}"))[0]


async def test_a_link_is_written_once_and_leaves_no_mark(
    any_database: Database, records: Records
) -> None:
    back = await WriteBack.open(any_database, {"customers": COLUMNS}, org_id="1")
    await settle(any_database, records, LINKED, ADA)
    assert await back.write([ADA]) == 1
    now = await row(any_database)
    assert (now["id"], now["state"], now["error"], now["edits"]) == (9001, "synced", None, 1)
    assert now["at"] is not None
    assert await records.fold_marks() == 0
    assert await back.write([ADA, BOB]) == 0  # nothing differs, and Bob was never tried
    assert (await row(any_database))["edits"] == 1


async def test_the_next_edit_of_the_row_is_seen_again(
    any_database: Database, records: Records
) -> None:
    back = await WriteBack.open(any_database, {"customers": COLUMNS}, org_id="1")
    await settle(any_database, records, LINKED, ADA)
    await back.write([ADA])
    async with any_database.transaction() as transaction:
        await transaction.execute_sql("update customers set name = 'Ada L.' where id = 1")
    assert await records.fold_marks() == 1


async def test_a_failure_is_shown_and_takes_nothing_away(
    any_database: Database, records: Records
) -> None:
    back = await WriteBack.open(any_database, {"customers": COLUMNS}, org_id="1")
    async with any_database.transaction() as transaction:
        await transaction.execute_sql(
            "update customers set \"zoho %s id\" = 77, at = '2026-01-01Z'"
        )
        await transaction.execute_sql("truncate zohosync.marks")
    await settle(any_database, records, REFUSED, ADA)
    assert await back.write([ADA]) == 1
    now = await row(any_database)
    assert (now["id"], now["state"], now["at"].year) == (77, "failed", 2026)
    assert now["error"] == ("no e-mail " * 20)[:30]
    await settle(any_database, records, LINKED, ADA)
    await back.write([ADA])
    now = await row(any_database)
    assert (now["id"], now["state"], now["error"]) == (9001, "synced", None)


async def test_many_are_written_together_and_other_kinds_are_passed_over(
    any_database: Database, records: Records
) -> None:
    back = await WriteBack.open(
        any_database,
        {"customers": WriteBackColumns("customers", "id", status="state")},
        org_id="1",
    )
    await settle(any_database, records, LINKED, ADA)
    await settle(any_database, records, REFUSED, BOB)
    assert await back.write([ADA, BOB, Ref("invoices", "1"), Ref("customers", "404")]) == 2
    assert (await row(any_database, 1))["state"] == "synced"
    assert (await row(any_database, 2))["state"] == "failed"
    assert (await row(any_database, 2))["error"] is None


async def test_a_test_organization_writes_nothing_back(database: Database) -> None:
    async with database.transaction() as transaction:
        await transaction.execute_sql(SCHEMA)
    await register(database, "test")
    await pause_kinds(database, "1", ["customers"], pause=False, why="a test")
    records = Records(database, org_id="1", worker="w", lease_s=60, debounce_s=0)
    back = await WriteBack.open(database, {"customers": COLUMNS}, org_id="1")
    await settle(database, records, LINKED, ADA)
    assert await back.write([ADA]) == 0
    assert (await row(database))["id"] is None


async def test_a_record_that_is_claimed_again_is_left_to_that_attempt(
    any_database: Database, records: Records
) -> None:
    back = await WriteBack.open(any_database, {"customers": COLUMNS}, org_id="1")
    await settle(any_database, records, LINKED, ADA)
    async with any_database.transaction() as transaction:
        await transaction.execute_sql("select zohosync.mark('customers', '1', 10)")
    await records.fold_marks()
    assert len(await records.claim(1)) == 1
    assert await back.write([ADA]) == 0


async def test_its_failure_leaves_the_record_as_it_was(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection.SESSION, "lock_timeout", "100ms")
    hasty = await Database.open(database_url)
    async with hasty.transaction() as transaction:
        await transaction.execute_sql(SCHEMA)
        await transaction.execute_sql("alter table customers add check (state <> 'synced')")
    await register(hasty, "sandbox")
    records = Records(hasty, org_id="1", worker="w", lease_s=60, debounce_s=0)
    back = await WriteBack.open(hasty, {"customers": COLUMNS}, org_id="1")
    await settle(hasty, records, LINKED, ADA)
    with pytest.raises(DatabaseError, match="check constraint"):
        await back.write([ADA])
    async with await psycopg.AsyncConnection.connect(database_url) as user:
        await user.execute("update customers set name = 'x'")
        async with asyncio.timeout(5):
            with pytest.raises(DatabaseError, match="lock"):
                await back.write([ADA])
    async with hasty.transaction() as transaction:
        found = await transaction.fetch_sql("select status, zoho_id from zohosync.records")
    assert found == [{"status": "synced", "zoho_id": "9001"}]
    await hasty.close()


async def test_keys_and_ids_of_other_types(any_database: Database, records: Records) -> None:
    ref = Ref("plans", "6f1c1f4e-6d0a-4a52-8a2c-111111111111")
    async with any_database.transaction() as transaction:
        await transaction.execute_sql(
            f'create schema "My Shop"; create table "My Shop"."Plans" (k uuid, z char(20));'
            f'insert into "My Shop"."Plans" values (\'{ref.key}\')'
        )
    columns = {"plans": WriteBackColumns('"My Shop"."Plans"', "k", zoho_id="z")}
    back = await WriteBack.open(any_database, columns, org_id="1")
    await settle(any_database, records, LINKED, ref)
    assert [await back.write([ref]), await back.write([ref])] == [1, 0]
    async with any_database.transaction() as transaction:
        rows = await transaction.fetch_sql('select z::text as z from "My Shop"."Plans"')
    assert rows == [{"z": "9001"}]


async def test_settings_that_do_not_fit_are_refused_by_name(
    any_database: Database, records: Records
) -> None:
    for columns, says in (
        (WriteBackColumns("nowhere", "id", status="state"), "no table 'nowhere'"),
        (WriteBackColumns("not a table", "id", status="state"), "no table"),
        (WriteBackColumns("customers", "ID", status="state"), "no column 'ID'"),
        (WriteBackColumns("customers", "id", status="nix"), "no column 'nix'"),
        (WriteBackColumns("customers", "id"), "names no column"),
    ):
        with pytest.raises(SettingsError, match=says) as refused:
            await WriteBack.open(any_database, {"customers": columns}, org_id="1")
        assert "[kinds.customers.write_back]" in str(refused.value)


async def test_a_worker_writes_back_what_it_settled_and_survives_when_it_cannot(
    database: Database,
) -> None:
    sandbox = Sandbox(clock=SystemClock(), chance=Chance(7), time_zone="UTC")
    mapping = {
        "customers": "select id as key, name as display_name, name || '@example.com' as email, "
        '"zoho %s id"::text as zoho_id from customers'
    }
    async with database.transaction() as transaction:
        await transaction.execute_sql(SCHEMA)
        await transaction.execute_sql("alter table customers add check (id = 1 or at is null)")
    watches = [Watch("public.customers", "customers", key="id")]
    async with (
        serving(sandbox) as url,
        world(
            database, mapping, sandbox, url=url, settings=WorldSettings().working(debounce_s=0.0)
        ) as joined,
    ):
        await install_watches(database, watches, clock=SystemClock())
        joined.worker._writeback = await WriteBack.open(
            database, {"customers": COLUMNS}, org_id=joined.records._org_id
        )
        async with database.transaction() as transaction:
            await transaction.execute_sql("update customers set name = upper(name)")
        async with asyncio.timeout(30):
            await joined.service.run_until_idle(asyncio.Event(), poll_s=0.05)
    made = {row["display_name"]: row["customer_id"] for row in sandbox.ledger.records("customers")}
    assert set(made) == {"ADA", "BOB"}
    assert str((await row(database, 1))["id"]) == made["ADA"]
    assert (await row(database, 2))["id"] is None
    async with database.transaction() as transaction:
        found = await transaction.fetch_sql("select status, version from zohosync.records")
        assert await transaction.fetch_sql("select from zohosync.marks") == []
    assert found == [{"status": "synced", "version": 1}] * 2
    noted = [event for event in joined.events if isinstance(event, Noted)]
    told = [event.message for event in noted if event.level >= logging.WARNING]
    assert [message.partition(":")[0] for message in told] == ["customers 2 was not written back"]
