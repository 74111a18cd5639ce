"""The record row as the queue, on a real Postgres: marks, claims, settlements, parents, rescue."""

import asyncio
from dataclasses import replace

import pytest

from zohosync.core.governor import PLANS, Limits
from zohosync.core.kinds import KINDS, MAPPED
from zohosync.core.records import Claim, Ref, Status
from zohosync.core.settlement import IntentAfter, Settlement
from zohosync.errors import DatabaseError, LeaseLostError
from zohosync.store.database import Database, query_text
from zohosync.store.organizations import (
    pause_kinds,
    register_installation,
    register_organization,
)
from zohosync.store.records import AttemptNote, Records

NOTE = AttemptNote(step="create", entity_type="customer", duration_ms=1)


async def register(
    database: Database,
    mode: str = "sandbox",
    org_id: str = "10001",
    limits: Limits = PLANS["premium"],
) -> None:
    await register_organization(
        database,
        org_id=org_id,
        data_center="us",
        mode=mode,
        time_zone="Africa/Johannesburg",
        currency="ZAR",
        limits=limits,
        kinds=MAPPED,
    )


@pytest.fixture
async def records(any_database: Database) -> Records:
    await register(any_database)
    return Records(any_database, org_id="10001", worker="w1", lease_s=60, debounce_s=300)


async def mark(database: Database, kind: str, key: str, priority: int = 5) -> None:
    async with database.transaction() as transaction:
        await transaction.execute_sql(
            "select zohosync.mark(%(kind)s, %(key)s, %(priority)s)",
            {"kind": kind, "key": key, "priority": priority},
        )


async def row_of(database: Database, ref: Ref) -> dict[str, object]:
    async with database.transaction() as transaction:
        rows = await transaction.fetch_sql(
            "select * from zohosync.records where kind = %(kind)s and key = %(key)s",
            {"kind": ref.kind, "key": ref.key},
        )
    return rows[0]


async def claim_one(records: Records) -> Claim:
    await records.fold_marks()
    claims = await records.claim(1)
    assert len(claims) == 1
    return claims[0]


async def test_a_hundred_marks_are_one_claim_with_the_highest_priority(
    any_database: Database, records: Records
) -> None:
    for number in range(100):
        await mark(any_database, "customers", "42", priority=10 if number == 50 else 1)
    assert await records.fold_marks() == 100
    claims = await records.claim(10)
    assert [claim.ref for claim in claims] == [Ref("customers", "42")]
    assert claims[0].priority == 10
    assert claims[0].version == 100
    assert await records.claim(10) == []


async def test_an_edit_during_an_attempt_leaves_the_record_dirty(
    any_database: Database, records: Records
) -> None:
    await mark(any_database, "customers", "42")
    claim = await claim_one(records)
    await mark(any_database, "customers", "42")
    await records.fold_marks()
    settled = await records.settle(
        claim, Settlement(Status.SYNCED, "created", zoho_id="9", payload={"a": 1}), NOTE
    )
    assert settled.status is Status.PENDING
    row = await row_of(any_database, claim.ref)
    assert row["synced_version"] == claim.version
    assert row["due_at"] is not None
    assert await records.claim(1) == []  # not before the debounce has passed


async def test_a_settlement_after_the_lease_is_lost_writes_nothing(
    any_database: Database, records: Records
) -> None:
    await mark(any_database, "customers", "42")
    claim = await claim_one(records)
    await records.release()
    with pytest.raises(LeaseLostError):
        await records.settle(claim, Settlement(Status.SYNCED, "created", zoho_id="9"), NOTE)
    row = await row_of(any_database, claim.ref)
    assert (row["status"], row["zoho_id"]) == ("pending", None)
    async with any_database.transaction() as transaction:
        assert await transaction.fetch_sql("select * from zohosync.sync_logs") == []


async def test_a_child_that_parks_while_its_parent_lands_is_not_left_asleep(
    any_database: Database, records: Records
) -> None:
    await mark(any_database, "customers", "1")
    parent = await claim_one(records)
    await mark(any_database, "invoices", "7")
    child = await claim_one(records)
    wait = Settlement(Status.WAITING, "waiting", waiting_on=parent.ref)
    land = Settlement(Status.SYNCED, "created", zoho_id="9001", remote_state="active")
    await asyncio.gather(records.settle(child, wait, NOTE), records.settle(parent, land, NOTE))
    woken = await records.claim(10)
    assert [claim.ref for claim in woken] == [child.ref]


async def test_a_waiting_child_makes_its_unknown_parent_a_record_and_as_urgent(
    any_database: Database, records: Records
) -> None:
    await mark(any_database, "subscriptions", "7", priority=10)
    child = await claim_one(records)
    wait = Settlement(Status.WAITING, "waiting", waiting_on=Ref("plans", "gold"))
    settled = await records.settle(child, wait, NOTE)
    assert settled.status is Status.WAITING
    parents = await records.claim(10)
    assert [(claim.ref, claim.priority) for claim in parents] == [(Ref("plans", "gold"), 10)]
    await records.settle(parents[0], Settlement(Status.SYNCED, "created", zoho_id="gold"), NOTE)
    assert [claim.ref for claim in await records.claim(10)] == [child.ref]


async def test_a_child_that_needs_an_open_invoice_sleeps_until_it_is_open(
    any_database: Database, records: Records
) -> None:
    await mark(any_database, "invoices", "1")
    invoice = await claim_one(records)
    draft = Settlement(Status.SYNCED, "created", zoho_id="55", remote_state="draft")
    await records.settle(invoice, draft, NOTE)
    await mark(any_database, "payments", "1")
    payment = await claim_one(records)
    wait = Settlement(
        Status.WAITING, "waiting", waiting_on=invoice.ref, waiting_needs=frozenset({"open"})
    )
    await records.settle(payment, wait, NOTE)
    assert await records.claim(10) == []
    await mark(any_database, "invoices", "1", priority=10)
    again = await claim_one(records)
    opened = Settlement(Status.SYNCED, "converttoopen", remote_state="open")
    await records.settle(again, opened, NOTE)
    assert [claim.ref for claim in await records.claim(10)] == [payment.ref]


async def test_what_a_reply_named_as_a_child_is_promised_to_that_record_and_not_linked(
    any_database: Database, records: Records
) -> None:
    for key in ("7", "8"):
        await mark(any_database, "subscriptions", key)
        done = Settlement(
            Status.SYNCED, "created", zoho_id=f"z{key}", hints={"child_invoice_id": "i" + key}
        )
        await records.settle(await claim_one(records), done, NOTE)
    ids = ["i7", "i8", "i9", "z7"]
    seven, eight = (frozenset({Ref("subscriptions", key)}) for key in ("7", "8"))
    assert await records.promised("invoices", ids) == {"i7": seven, "i8": eight}
    assert await records.promised("customers", ids) == await records.promised("invoices", []) == {}
    assert await records.taken("invoices", ids) == {}


def test_every_hint_that_promises_a_child_is_asked_for() -> None:
    hints = {kind.hint_for for kind in KINDS.values() if kind.hint_for}
    assert hints
    assert all(f"'{hint}'" in query_text("promised_ids") for hint in hints)


async def test_what_a_silent_worker_held_is_taken_over_and_its_epoch_is_spent(
    any_database: Database,
) -> None:
    await register(any_database)
    short = Records(any_database, org_id="10001", worker="w1", lease_s=0.0, debounce_s=0)
    await mark(any_database, "customers", "42")
    claim = await claim_one(short)
    assert await short.rescue() == 1
    with pytest.raises(LeaseLostError):
        await short.settle(claim, Settlement(Status.SYNCED, "created", zoho_id="9"), NOTE)
    again = await short.claim(1)
    assert again[0].epoch > claim.epoch


async def test_what_is_taken_over_keeps_its_place_before_what_came_later(
    any_database: Database,
) -> None:
    await register(any_database)
    dead = Records(any_database, org_id="10001", worker="w1", lease_s=0.0, debounce_s=0)
    await mark(any_database, "customers", "first")
    await claim_one(dead)
    alive = Records(any_database, org_id="10001", worker="w2", lease_s=60, debounce_s=0)
    await mark(any_database, "customers", "later")
    await alive.fold_marks()
    assert await alive.rescue() == 1
    assert [claim.ref.key for claim in await alive.claim(1)] == ["first"]


async def test_paused_kinds_are_not_claimed_and_a_real_organization_starts_paused(
    any_database: Database,
) -> None:
    await register(any_database, mode="test")
    records = Records(any_database, org_id="10001", worker="w", lease_s=9, debounce_s=0)
    await mark(any_database, "customers", "42")
    await records.fold_marks()
    assert await records.claim(1) == []
    await pause_kinds(any_database, "10001", ["customers"], pause=False, why="a test")
    assert len(await records.claim(1)) == 1


async def test_two_records_never_share_one_zoho_id(
    any_database: Database, records: Records
) -> None:
    await mark(any_database, "customers", "1")
    await mark(any_database, "customers", "2")
    await records.fold_marks()
    first, second = await records.claim(2)
    done = Settlement(Status.SYNCED, "created", zoho_id="9001")
    await records.settle(first, done, NOTE)
    settled = await records.settle(second, done, NOTE)
    assert settled.status is Status.FAILED
    row = await row_of(any_database, second.ref)
    assert row["zoho_id"] is None
    assert first.ref.key in str(row["error_message"])


async def test_a_mark_that_no_record_can_have_holds_nobody_up(
    any_database: Database, records: Records
) -> None:
    for kind, key in (
        ("customers", "x" * 200),
        ("customers", "x" * 100_000),
        ("customers", ""),
        ("customers", "🦆"),
    ):
        await mark(any_database, kind, key)
    async with any_database.transaction() as transaction:  # a trigger of another version
        await transaction.execute_sql(
            "insert into zohosync.marks (kind, key, op, priority) "
            "values ('custommers', '1', 'U', 5)"
        )
    assert await records.fold_marks() == 5
    assert {claim.ref.key for claim in await records.claim(10)} == {"x" * 200, "🦆"}


async def test_a_truncated_table_touches_every_record_of_its_kind(
    any_database: Database, records: Records
) -> None:
    for key in ("1", "2", "3"):
        await mark(any_database, "customers", key)
    await records.fold_marks()
    for claim in await records.claim(3):
        await records.settle(
            claim, Settlement(Status.SYNCED, "created", zoho_id=claim.ref.key), NOTE
        )
    async with any_database.transaction() as transaction:
        await transaction.execute_sql(
            "insert into zohosync.marks (kind, key, op, priority) values ('customers', '', 'T', 5)"
        )
    await records.fold_marks()
    async with any_database.transaction() as transaction:
        rows = await transaction.fetch_sql("select status from zohosync.records")
    assert [row["status"] for row in rows] == ["pending"] * 3


async def test_an_absent_look_up_is_remembered_on_the_intent(
    any_database: Database, records: Records
) -> None:
    await mark(any_database, "customers", "42")
    claim = await claim_one(records)
    async with any_database.transaction() as transaction:
        rows = await transaction.fetch_sql(
            "insert into zohosync.api_calls (org_id, door, lane, kind, key, worker, operation, "
            "method, path, deadline, counts_until, intent, intent_state) values ('10001', 'api', "
            "5, 'customers', '42', 'w1', 'customers.create', 'POST', '/customers', "
            "zohosync.current_time(), zohosync.current_time(), '{\"email\": \"a@b.c\"}', 'open') "
            "returning call_id"
        )
        await transaction.execute_sql(
            f"update zohosync.records set intent_id = {rows[0]['call_id']}"
        )
    lost = Settlement(Status.UNCERTAIN, "uncertain", 0.0, intent=IntentAfter.ABSENT)
    await records.settle(claim, lost, NOTE)
    again = (await records.claim(1))[0]
    assert again.intent is not None
    assert again.intent.operation == "create"
    assert again.intent.absent_at is not None
    await records.settle(
        again, replace(lost, status=Status.PENDING, intent=IntentAfter.CLOSE), NOTE
    )
    assert (await records.claim(1))[0].intent is None


async def test_a_mark_of_a_kind_that_is_none_is_refused_by_name(
    any_database: Database, records: Records
) -> None:
    assert records is not None
    with pytest.raises(DatabaseError, match='there is no kind "customer"'):
        await mark(any_database, "customer", "42")


async def test_a_backfill_does_not_wait_out_the_debounce(
    any_database: Database, records: Records
) -> None:
    for priority, claimed in ((5, 0), (1, 1)):
        key = f"p{priority}"
        await mark(any_database, "customers", key)
        claim = await claim_one(records)
        await records.settle(claim, Settlement(Status.SYNCED, "created", zoho_id=key), NOTE)
        await mark(any_database, "customers", key, priority=priority)
        await records.fold_marks()
        assert len(await records.claim(1)) == claimed


async def test_a_worker_of_the_organisation_before_takes_no_marks_of_the_one_now(
    any_database: Database, records: Records
) -> None:
    await register(any_database, org_id="10002")
    await mark(any_database, "customers", "42")
    assert await records.fold_marks() == 0
    assert not (await records.next_due()).marks  # else it would ask without a pause
    assert (await records.unsettled(60))["marks"] == 0
    now = Records(any_database, org_id="10002", worker="w2", lease_s=60, debounce_s=300)
    assert (await now.next_due()).marks
    assert await now.fold_marks() == 1
    assert [claim.ref.key for claim in await now.claim(1)] == ["42"]


async def test_processes_that_register_at_the_same_time_do_not_meet_in_an_index(
    any_database: Database,
) -> None:
    await register_installation(any_database, "12345678")
    for number in range(40):  # a new organisation each time: an upsert knows one index, not two
        await asyncio.gather(
            *(register(any_database, org_id=f"{number}{twice % 2}") for twice in range(6))
        )
    async with any_database.transaction() as transaction:
        rows = await transaction.fetch_sql(
            "select count(*) filter (where active) as active, count(*) from zohosync.organizations"
        )
    assert rows == [{"active": 1, "count": 80}]


async def test_other_limits_at_a_start_open_the_lanes_that_the_old_ones_had_closed(
    any_database: Database, records: Records
) -> None:
    until = "zohosync.current_time() + interval '1 hour'"
    async with any_database.transaction() as transaction:
        await transaction.execute_sql(
            f"update zohosync.organizations set lanes_closed = jsonb_build_object('5', {until})"
        )
    await mark(any_database, "customers", "42")
    await register(any_database)  # the same limits
    await records.fold_marks()
    assert await records.claim(1) == []
    await register(any_database, limits=PLANS["standard"])
    assert len(await records.claim(1)) == 1


async def test_leases_are_extended_in_the_order_in_which_calls_are_admitted(
    database: Database, database_url: str
) -> None:
    await register(database)
    records = Records(database, org_id="10001", worker="w1", lease_s=60, debounce_s=0)
    async with database.transaction() as transaction:  # a book, in which leases are few
        await transaction.execute_sql(
            "insert into zohosync.records (org_id, kind, key) "
            "select '10001', 'invoices', n from generate_series(1, 9000) n; "
            "analyze zohosync.records"
        )
    claims = []
    for key in ("b", "a"):
        await mark(database, "customers", key)
        claims.append(await claim_one(records))
    other = await Database.open(database_url, connections=1)
    lock = "select key from zohosync.records where key = '{}' for no key update"
    async with asyncio.TaskGroup() as tasks, other.transaction() as admission:
        await admission.fetch_sql(lock.format("a"))
        extending = tasks.create_task(records.extend_leases(claims))
        await asyncio.wait([extending], timeout=0.2)
        assert await admission.fetch_sql(f"{lock.format('b')} nowait") == [{"key": "b"}]
    assert extending.result() == 2
    await other.close()
