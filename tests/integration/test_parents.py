"""Parents in doubt or lost, as the store keeps them: looked up in time, no child woken early."""

import pytest

from integration.test_records import NOTE, claim_one, mark, register, row_of
from zohosync.core.records import ErrorClass, Problem, Ref, Status
from zohosync.core.settlement import Settlement
from zohosync.errors import LeaseLostError
from zohosync.store.database import Database
from zohosync.store.records import Records


@pytest.fixture
async def records(any_database: Database) -> Records:
    await register(any_database)
    return Records(any_database, org_id="10001", worker="w1", lease_s=60, debounce_s=300)


async def test_a_parent_that_is_looked_up_for_a_live_child_stays_as_urgent_whatever_marks_come(
    any_database: Database, records: Records
) -> None:
    await mark(any_database, "customers", "1")
    parent = await claim_one(records)
    land = Settlement(Status.SYNCED, "created", zoho_id="9001", remote_state="active")
    await records.settle(parent, land, NOTE)
    await mark(any_database, "invoices", "7", priority=10)
    child = await claim_one(records)
    orphaned = Settlement(
        Status.WAITING, "orphaned", waiting_on=parent.ref, suspect=parent.ref, attempts=1
    )
    await records.settle(child, orphaned, NOTE)
    await mark(any_database, "customers", "1", priority=0)  # a sweep comes by
    again = await claim_one(records)
    assert (again.ref, again.priority) == (parent.ref, 10)


@pytest.mark.parametrize("status", [Status.FAILED, Status.WAITING])
async def test_a_parent_that_comes_into_doubt_during_its_own_attempt_is_looked_up_at_once(
    any_database: Database, records: Records, status: Status
) -> None:
    await mark(any_database, "invoices", "1")
    parent = await claim_one(records)
    land = Settlement(Status.SYNCED, "created", zoho_id="9001", remote_state="open")
    await records.settle(parent, land, NOTE)
    await mark(any_database, "invoices", "1", priority=10)
    under_way = await claim_one(records)
    await mark(any_database, "payments", "7")
    child = await claim_one(records)
    orphaned = Settlement(
        Status.WAITING, "orphaned", waiting_on=parent.ref, suspect=parent.ref, attempts=1
    )
    await records.settle(child, orphaned, NOTE)
    other = Ref("customers", "1") if status is Status.WAITING else None
    ends = Settlement(status, str(status), waiting_on=other, attempts=1)
    await records.settle(under_way, ends, NOTE)
    claims = {claim.ref: claim for claim in await records.claim(10)}
    assert claims[parent.ref].check
    fails = Settlement(Status.FAILED, "failed", attempts=1)
    settled = await records.settle(claims[parent.ref], fails, NOTE)  # the look-up itself failed
    assert settled.status is Status.FAILED


async def test_a_lost_parent_wakes_no_child_before_somebody_looked_at_it_again(
    any_database: Database, records: Records
) -> None:
    await mark(any_database, "customers", "1")
    parent = await claim_one(records)
    lost = Settlement(
        Status.FAILED,
        "failed",
        zoho_id="9001",
        problem=Problem(ErrorClass.NOT_FOUND, "no longer in Zoho"),
    )
    await mark(any_database, "invoices", "7")
    child = await claim_one(records)
    await records.settle(parent, lost, NOTE)
    wait = Settlement(Status.WAITING, "waiting", waiting_on=parent.ref)
    await mark(any_database, "customers", "1")  # somebody asks to look again
    await records.fold_marks()
    assert (await records.settle(child, wait, NOTE)).status is Status.WAITING
    with pytest.raises(LeaseLostError):  # a worker that slept for long
        await records.settle(parent, lost, NOTE)
    (again,) = await records.claim(10)
    assert again.ref == parent.ref
    await mark(any_database, "customers", "1")
    await records.fold_marks()
    await records.settle(again, lost, NOTE)  # looked at, yet its row changed meanwhile
    assert (await row_of(any_database, child.ref))["status"] == "waiting"
    (again,) = await records.claim(10)
    await records.settle(again, Settlement(Status.SYNCED, "updated", zoho_id="9001"), NOTE)
    assert [claim.ref for claim in await records.claim(10)] == [child.ref]
