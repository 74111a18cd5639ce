"""Maintained counts are what a full count says, whoever changes records, however it ends."""

import asyncio
import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from zohosync.clock import Chance, SystemClock
from zohosync.core.governor import PLANS
from zohosync.core.kinds import MAPPED
from zohosync.core.lanes import Places
from zohosync.core.records import Claim, Status
from zohosync.core.settlement import Settlement
from zohosync.store import migrate as module
from zohosync.store.database import Database
from zohosync.store.health import Vitals, offer_sync_health
from zohosync.store.history import History
from zohosync.store.migrate import migrate
from zohosync.store.organizations import register_organization
from zohosync.store.records import AttemptNote, Records

ORG = "1"
FULL = """
select kind, status, count(*)::int as records, count(zoho_id)::int as linked,
       count(due_at)::int as timed
  from zohosync.records where org_id = '1' group by kind, status order by kind, status
"""
NOTE = AttemptNote("create", "customer", 1)


async def sql(database: Database, text: str, **params: Any) -> list[dict[str, Any]]:
    async with database.transaction() as transaction:
        return await transaction.fetch_sql(text, params or None)


async def known(database: Database) -> None:
    await register_organization(
        database, org_id=ORG, data_center="us", mode="sandbox", time_zone="UTC", currency="ZAR",
        limits=PLANS["unlimited"], kinds=MAPPED,
    )  # fmt: skip


async def assert_equal(database: Database) -> list[dict[str, Any]]:
    """The counts are what a full count says; both of one moment."""
    kept = sorted(
        await History(database, ORG).counts(), key=lambda row: (row["kind"], row["status"])
    )
    assert kept == await sql(database, FULL)
    return kept


async def mark(database: Database, low: int, high: int, *kinds: str) -> None:
    await sql(
        database,
        "insert into zohosync.marks (kind, key, op, priority) "
        "select k, n::text, 'U', 5 from unnest(%(kinds)s::text[]) k, generate_series(%(low)s::int, "
        "%(high)s::int) n returning 1",
        kinds=list(kinds) or ["customers"], low=low, high=high,
    )  # fmt: skip


async def test_each_act_on_records_is_counted_before_and_after_folding(database: Database) -> None:
    await known(database)
    vitals = Vitals(database, ORG)
    records = Records(database, org_id=ORG, worker="w", lease_s=60, debounce_s=0)
    await mark(database, 1, 40, "customers", "invoices")
    assert await records.fold_marks() == 80
    kept = await assert_equal(database)
    assert [(row["kind"], row["records"], row["timed"]) for row in kept] == [
        ("customers", 40, 40),
        ("invoices", 40, 40),
    ]
    claims = await records.claim(10)
    await assert_equal(database)
    for claim, number in zip(claims, range(9), strict=False):
        status = (Status.SYNCED, Status.FAILED, Status.RETRYING)[number % 3]
        zoho_id = None if status is Status.RETRYING else f"z{number}"
        await records.settle(claim, Settlement(status, "done", 60.0, zoho_id=zoho_id), NOTE)
    await assert_equal(database)
    assert await vitals.fold() > 0
    assert not await sql(database, "select from zohosync.count_deltas")
    kept = await assert_equal(database)
    assert {row["status"] for row in kept} == {
        "pending", "syncing", "synced", "failed", "retrying",
    }  # fmt: skip
    await records.release()
    await sql(database, "delete from zohosync.records where key = '7' returning 1")
    await assert_equal(database)
    assert not await vitals.mend()


async def test_progress_is_what_the_counts_say_and_the_marks(database: Database) -> None:
    await known(database)
    records = Records(database, org_id=ORG, worker="w", lease_s=60, debounce_s=0)
    await mark(database, 1, 5)
    await records.fold_marks()
    await mark(database, 6, 7)
    progress = await History(database, ORG).progress()
    assert (progress.moving, dict(progress.by_kind["customers"])) == (
        7, {"pending": 5, "marked": 2},
    )  # fmt: skip


async def test_counts_stay_equal_while_sessions_work_fold_and_roll_back(
    any_database: Database,
) -> None:
    database = any_database
    await known(database)
    over = asyncio.Event()
    vitals = Vitals(database, ORG)
    looked = 0

    async def work(number: int) -> None:
        records = Records(database, org_id=ORG, worker=f"w{number}", lease_s=60, debounce_s=0)
        chance = Chance(number)
        for turn in range(12):
            await mark(database, 1 + turn, 30 + turn, "customers", "payments")
            claims, _ = await records.take(Places(8, 8, {10: 8, 5: 8, 1: 8, 0: 8}))
            for claim in claims:
                await settled(records, claim, chance)
            await rolled_back(database)

    async def fold() -> None:
        while not over.is_set():
            await vitals.fold()
            await SystemClock().sleep(0)

    async def look() -> None:
        nonlocal looked
        both = f"select ({count('zohosync.records')}) as counted, ({KEPT}) as kept"
        while not over.is_set():
            (row,) = await sql(database, both)
            assert row["counted"] == row["kept"]
            looked += 1

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(fold())
        tasks.create_task(fold())
        tasks.create_task(look())
        async with asyncio.TaskGroup() as workers:
            for number in range(3):
                workers.create_task(work(number))
        over.set()
    await assert_equal(database)
    await vitals.fold()
    await assert_equal(database)
    assert looked
    assert not await vitals.mend()


KEPT = """
select coalesce(jsonb_agg(jsonb_build_array(kind, status, records) order by kind, status), '[]')
  from (select kind, status, sum(records)::int as records
          from (select kind, status, records from zohosync.record_counts
                union all select kind, status, records from zohosync.count_deltas) c
         group by 1, 2 having sum(records) <> 0) k
"""


def count(table: str) -> str:
    return (
        "select coalesce(jsonb_agg(jsonb_build_array(kind, status, records) order by kind, status),"
        f" '[]') from (select kind, status, count(*)::int as records from {table} group by 1, 2) r"
    )


async def settled(records: Records, claim: Claim, chance: Chance) -> None:
    status = (Status.SYNCED, Status.FAILED, Status.SKIPPED)[chance.integer(0, 2)]
    name = f"{claim.ref.kind}-{claim.ref.key}" if status is Status.SYNCED else None
    await records.settle(claim, Settlement(status, "done", None, zoho_id=name), NOTE)


class CalledOffError(Exception):
    """What a business transaction ends by that is rolled back."""


async def rolled_back(database: Database) -> None:
    with contextlib.suppress(CalledOffError):
        async with database.transaction() as transaction:
            await transaction.execute_sql(
                "insert into zohosync.records (org_id, kind, key, due_at) "
                "values ('1', 'plans', 'never', clock_timestamp())"
            )
            raise CalledOffError


async def test_a_truncate_takes_all_of_it_folded_or_not(database: Database) -> None:
    await known(database)
    vitals = Vitals(database, ORG)
    records = Records(database, org_id=ORG, worker="w", lease_s=60, debounce_s=0)
    await mark(database, 1, 20)
    await records.fold_marks()
    await vitals.fold()
    await records.claim(5)
    await sql(database, "truncate zohosync.records; select 1")
    assert await assert_equal(database) == []
    await mark(database, 1, 3)
    await records.fold_marks()
    assert [row["records"] for row in await assert_equal(database)] == [3]
    await vitals.fold()
    await assert_equal(database)


async def test_spoiled_counts_are_mended_once_and_what_was_wrong_is_told(
    database: Database,
) -> None:
    await known(database)
    vitals = Vitals(database, ORG)
    records = Records(database, org_id=ORG, worker="w", lease_s=60, debounce_s=0)
    await mark(database, 1, 20, "customers", "invoices")
    await records.fold_marks()
    await vitals.fold()
    await sql(database, "update zohosync.record_counts set records = 999 where kind = 'customers'"
              " returning 1")  # fmt: skip
    await sql(database, "insert into zohosync.record_counts values "
              "('1', 'plans', 'synced', true, false, 4) returning 1")  # fmt: skip
    told, again = await asyncio.gather(vitals.mend(), vitals.mend())
    wrong = told or again
    assert not (told and again)
    assert [(row["kind"], row["status"], row["kept"], row["counted"]) for row in wrong] == [
        ("customers", "pending", 999, 20),
        ("plans", "synced", 4, 0),
    ]
    await assert_equal(database)
    await vitals.fold()
    await assert_equal(database)


@contextmanager
def before_the_counts() -> Iterator[Any]:
    """The migrations of a database that knows of no counts yet."""
    real = module.read_migrations
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "read_migrations", lambda directory=None: [
            each for each in real(directory) if each.version < 12
        ])  # fmt: skip
        yield


async def test_the_migration_counts_what_is_there(empty_database_url: str) -> None:
    database = await Database.open(empty_database_url)
    with before_the_counts():
        await migrate(database)
    await known(database)
    await sql(
        database,
        "insert into zohosync.records (org_id, kind, key, status, zoho_id) select '1', "
        "'customers', n, case when n % 3 = 0 then 'synced' else 'failed' end, "
        "case when n % 2 = 0 then 'z' || n end from generate_series(1, 60) n returning 1",
    )
    assert (await migrate(database))[0] == "0012_counts.sql"
    kept = await assert_equal(database)
    assert {row["status"]: (row["records"], row["linked"]) for row in kept} == {
        "failed": (40, 20), "synced": (20, 10),
    }  # fmt: skip
    await database.close()


RPC = "select * from public.get_zoho_sync_health()"


async def test_the_function_for_supabase_gives_the_guides_columns(any_database: Database) -> None:
    database = any_database
    assert await sql(database, RPC) == []
    await known(database)
    empty = await sql(database, RPC)
    assert [row["entity_type"] for row in empty] == list(MAPPED)
    assert list(empty[0]) == [
        "entity_type", "total_count", "synced_count", "failed_count", "sync_rate",
        "heartbeat_age_s",
    ]  # fmt: skip
    assert {(row["total_count"], row["sync_rate"], row["heartbeat_age_s"]) for row in empty} == {
        (0, None, None)
    }
    await sql(
        database,
        "insert into zohosync.records (org_id, kind, key, status, zoho_id) values "
        "('1', 'customers', '1', 'synced', 'z1'), ('1', 'customers', '2', 'failed', 'z2'), "
        "('1', 'customers', '3', 'failed', null), ('1', 'customers', '4', 'skipped', null) "
        "returning 1",
    )
    await sql(database, "insert into zohosync.workers (worker, org_id, host, pid, version, "
              "heartbeat_at) values ('w', '1', 'h', 1, '0', clock_timestamp() - interval '90 s') "
              "returning 1")  # fmt: skip
    row = next(row for row in await sql(database, RPC) if row["entity_type"] == "customers")
    assert [row["total_count"], row["synced_count"], row["failed_count"]] == [3, 1, 2]
    assert str(row["sync_rate"]) == "33.33"
    assert 90 <= row["heartbeat_age_s"] < 150


def test_only_the_service_role_may_call_the_function(empty_database_url: str) -> None:
    url = empty_database_url
    roles = ("anon", "authenticated", "service_role")
    with psycopg.connect(url, autocommit=True) as link:
        made = []
        for role in roles:  # a cluster's roles: another test may have made them
            if not link.execute("select from pg_roles where rolname = %s", (role,)).fetchone():
                link.execute(f"create role {role} nologin".encode())
                made.append(role)
        # As Supabase has it: whatever is made in public is its API's.
        link.execute(
            "alter default privileges in schema public grant all on functions "
            "to anon, authenticated, service_role"
        )
        try:
            asyncio.run(migrated(url))
            for role in roles:
                link.execute(f"set role {role}".encode())
                try:
                    link.execute(RPC.encode())
                except psycopg.errors.InsufficientPrivilege:
                    assert role != "service_role"
                else:
                    assert role == "service_role"
                link.execute("reset role")
        finally:
            link.execute("drop schema zohosync cascade")
            link.execute(f"drop owned by {', '.join(roles)} cascade".encode())
            for role in made:
                link.execute(f"drop role {role}".encode())


async def migrated(url: str) -> str:
    """Migrate, and say what became of the function."""
    database = await Database.open(url)
    await migrate(database)
    told = await offer_sync_health(database)
    await database.close()
    return told


async def test_a_function_of_the_users_own_is_left_alone_and_said(empty_database_url: str) -> None:
    own = "create function public.get_zoho_sync_health() returns int language sql as 'select 7'"
    with psycopg.connect(empty_database_url) as link:
        link.execute(own.encode())
    assert "not of zohosync" in await migrated(empty_database_url)
    with psycopg.connect(empty_database_url) as link:
        assert link.execute("select public.get_zoho_sync_health()").fetchone() == (7,)
        link.execute("drop schema zohosync cascade")
        assert link.execute("select public.get_zoho_sync_health()").fetchone() == (7,)
        link.execute("drop function public.get_zoho_sync_health()")


async def test_without_the_schema_public_the_rest_is_migrated_and_it_can_follow(
    empty_database_url: str,
) -> None:
    with psycopg.connect(empty_database_url) as link:
        link.execute("drop schema public")
    assert "no schema public" in await migrated(empty_database_url)
    with psycopg.connect(empty_database_url) as link:
        link.execute("create schema public")
    assert await migrated(empty_database_url) == "made"
    assert await migrated(empty_database_url) == "there"
