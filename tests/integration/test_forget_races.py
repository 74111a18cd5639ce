"""Forgetting beside others that name the same key in the same moment."""

import asyncio
from typing import Any

from zohosync.core.governor import PLANS
from zohosync.core.kinds import MAPPED
from zohosync.core.records import Ref
from zohosync.store.database import Database
from zohosync.store.organizations import register_organization
from zohosync.store.records import Records
from zohosync.store.upkeep import Forgetting


async def known(database: Database) -> None:
    """A record whose row is gone, and nothing else."""
    await register_organization(
        database, org_id="1", data_center="us", mode="sandbox", time_zone="UTC", currency="ZAR",
        limits=PLANS["unlimited"], kinds=MAPPED,
    )  # fmt: skip
    async with database.transaction() as transaction:
        await transaction.execute_sql(
            "insert into zohosync.records (org_id, kind, key, status, gone, zoho_id)"
            " values ('1', 'customers', '1', 'skipped', true, '900')"
        )


async def somebody_waits(database: Database) -> None:
    """Come back when somebody does, or when nobody seems to."""
    for _ in range(300):
        async with database.transaction() as transaction:
            if await transaction.fetch_sql("select 1 from pg_locks where not granted"):
                return


async def test_a_key_that_is_named_while_it_is_being_forgotten_keeps_its_link(
    database: Database,
) -> None:
    """The fold waits for the forgetting; what it then makes is not a record without a link."""
    await known(database)
    records = Records(database, org_id="1", worker="w", lease_s=60, debounce_s=0)
    who = {"org_id": "1", "kind": "customers", "key": "1"}
    said: dict[str, Any] = {"act": None, "why": None, "tells": False, "hints": []}
    forgotten, waited = asyncio.Event(), asyncio.Event()

    async def forget() -> None:
        async with database.transaction() as transaction:
            await transaction.fetch_one("hold_forgettable", **who)
            await transaction.fetch_one("forget_record", **who, **said)
            forgotten.set()
            await waited.wait()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(forget())
        await forgotten.wait()
        async with database.transaction() as transaction:
            await transaction.fetch_sql("select zohosync.mark('customers', '1', 5)")
        tasks.create_task(records.fold_marks())
        await somebody_waits(database)
        waited.set()
    async with database.transaction() as transaction:
        (row,) = await transaction.fetch_sql("select * from zohosync.records")
        assert (row["zoho_id"], row["gone"], row["status"]) == ("900", True, "pending")
        assert row["identity"]["forgotten"]
        assert await transaction.fetch_sql("select 1 from zohosync.forgotten") == []


async def test_an_alert_that_is_being_written_names_nobody_who_is_forgotten_meanwhile(
    database: Database,
) -> None:
    await known(database)
    looking, waited = asyncio.Event(), asyncio.Event()

    async def look() -> None:
        async with database.transaction() as transaction:
            await transaction.batch(("lock_alerts", {"org_id": "1"}))
            looking.set()
            await waited.wait()
            await transaction.execute_sql(
                "insert into zohosync.alerts (org_id, fingerprint, topic, body, example_kind,"
                " example_key) values ('1', 'x', 'x', 'customers 1 failed', 'customers', '1')"
            )

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(look())
        await looking.wait()
        tasks.create_task(Forgetting(database, "1").forget(Ref("customers", "1"), "asked"))
        await somebody_waits(database)
        waited.set()
    async with database.transaction() as transaction:
        (row,) = await transaction.fetch_sql("select body, example_key from zohosync.alerts")
    assert row["example_key"].startswith("~")
    assert row["body"] == f"customers {row['example_key']} failed"
