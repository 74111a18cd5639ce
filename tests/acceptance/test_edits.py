"""Edits that race with the work: the last state wins, and no child sleeps through its parent."""

import asyncio
from pathlib import Path

import pytest

from acceptance.kit import ShiftedClock, pretend, shop
from zohosync.clock import Chance
from zohosync.core.governor import PLANS
from zohosync.core.kinds import MAPPED
from zohosync.core.records import Claim, Problem, Ref, Status
from zohosync.core.records import ErrorClass as Because
from zohosync.core.settlement import Settlement
from zohosync.store.database import Database
from zohosync.store.organizations import register_organization
from zohosync.store.records import AttemptNote, Records

pytestmark = pytest.mark.acceptance


async def test_the_last_of_many_edits_wins_however_they_meet_the_work(
    database_url: str, tmp_path: Path
) -> None:
    chance = Chance(5)
    sandbox = pretend(ShiftedClock(), latency_s=(0.01, 0.08))
    async with shop(tmp_path, database_url, sandbox=sandbox) as here:
        await here.fill(12, 12)
        await here.execute("update public.bills set state = 'draft'")
        for _ in range(2):
            await here.start()
        await here.alive(2)
        edits = 0
        while edits < 300 or len(sandbox.ledger.calls()) < 100:
            row = chance.integer(1, 12)
            await here.execute(
                "update public.people set phone = %(n)s::text where id = %(row)s",
                "update public.bills set amount = 10 + %(n)s where id = 13 - %(row)s",
                n=edits, row=row,
            )  # fmt: skip
            edits += 1
            await asyncio.sleep(chance.random() * 0.02)
            assert edits < 5_000, await here.story()
        await here.execute("update public.bills set state = 'open' where id <= 6")
        await here.until(
            "not exists (select from zohosync.marks) and not exists "
            "(select from zohosync.records where status <> 'synced' or version <> synced_version)"
        )
        await here.assert_in_step(customers=12, invoices=12)


async def test_no_child_sleeps_through_the_landing_of_its_parent(database: Database) -> None:
    """A child parks at the very moment at which its parent lands, a hundred times."""
    records = await queue(database)
    chance = Chance(9)
    for turn in range(100):
        child, parent = Ref("invoices", str(turn)), Ref("customers", str(turn))
        async with database.transaction() as transaction:
            for ref in (parent, child):
                await transaction.execute_sql(f"select zohosync.mark('{ref.kind}', '{ref.key}')")
        await records.fold_marks()
        claims = {claim.ref: claim for claim in await records.claim(2)}
        lead_s = (chance.random() - 0.5) * 0.004
        await asyncio.gather(
            settle(records, claims[parent], landed(turn), max(0.0, lead_s)),
            settle(records, claims[child], parked(parent), max(0.0, -lead_s)),
        )
        again = await records.claim(1)
        assert [claim.ref for claim in again] == [child], f"turn {turn}"
        await settle(records, again[0], landed(turn), 0.0)


async def queue(database: Database) -> Records:
    await register_organization(
        database,
        org_id="10001",
        data_center="us",
        mode="sandbox",
        time_zone="UTC",
        currency="ZAR",
        limits=PLANS["unlimited"],
        kinds=MAPPED,
    )
    return Records(database, org_id="10001", worker="w", lease_s=60.0, debounce_s=0.0)


def landed(number: int) -> Settlement:
    return Settlement(Status.SYNCED, "created", zoho_id=f"Z{number}", remote_state="active")


def parked(parent: Ref) -> Settlement:
    problem = Problem(Because.VALIDATION, f"{parent} is not in Zoho yet")
    return Settlement(Status.WAITING, "waiting", problem=problem, waiting_on=parent)


async def settle(records: Records, claim: Claim, end: Settlement, wait_s: float) -> None:
    await asyncio.sleep(wait_s)
    await records.settle(claim, end, AttemptNote("create", claim.ref.kind[:-1], 1))
