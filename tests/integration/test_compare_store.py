"""What compare writes of a record: each change of status is one that the table of states knows."""

from typing import Any

import pytest

from zohosync.core.records import Candidate, Status
from zohosync.core.states import foreseen
from zohosync.store.comparisons import Comparisons, Reading
from zohosync.store.database import Database

BEFORE = (None, "pending", "retrying", "failed", "waiting", "skipped")
LINK = {"zoho_id": "z1", "payload": {}, "hints": {}, "accepted": {}, "proof": {}}


async def given(database: Database, before: str | None, *, version: int = 3) -> None:
    """An organisation with one record in that status; and a comparison that says nothing."""
    async with database.transaction() as transaction:
        await transaction.execute_sql(
            "insert into zohosync.organizations (org_id, data_center, mode, time_zone) "
            "values ('1', 'us', 'sandbox', 'UTC')"
        )
        if before is not None:
            await transaction.execute_sql(
                "insert into zohosync.records (org_id, kind, key, version, status) "
                f"values ('1', 'customers', '1', {version}, '{before}')"
            )


async def record(database: Database) -> dict[str, Any]:
    async with database.transaction() as transaction:
        rows = await transaction.fetch_sql("select * from zohosync.records")
    return rows[0] if rows else {}


async def begun(database: Database) -> tuple[Comparisons, Reading]:
    store = Comparisons(database, "1", "w")
    reading = await store.begin("customers")
    assert reading is not None
    return store, reading


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("read", [3, 2], ids=["unchanged", "changed since"])
async def test_a_link_takes_the_row_as_it_was_read(
    database: Database, before: str | None, read: int
) -> None:
    await given(database, before)
    store, reading = await begun(database)
    rows = [{**LINK, "key": "1", "version": read}]
    assert await store.link("customers", reading.comparison_id, rows) == ["1"]
    now = await record(database)
    dirty = before is not None and read < 3
    assert now["zoho_id"] == "z1"
    assert now["status"] == ("pending" if dirty else "synced")
    assert (now["due_at"] is not None) == dirty
    assert now["version"] - now["synced_version"] == (1 if dirty else 0)
    after = Status(now["status"])
    assert after == before or foreseen(Status(before) if before else None, after)


async def test_what_waited_for_a_row_is_due_once_that_is_linked(database: Database) -> None:
    await given(database, "failed")
    async with database.transaction() as transaction:
        await transaction.execute_sql(
            "insert into zohosync.records (org_id, kind, key, version, status, waiting_kind, "
            "waiting_key) select '1', 'subscriptions', 's' || parent, 1, 'waiting', 'customers', "
            "parent from unnest(array['1', '2']) parent"
        )
    store, reading = await begun(database)
    rows = [{**LINK, "key": key, "zoho_id": f"z{key}", "version": 3} for key in ("1", "3")]
    await store.link("customers", reading.comparison_id, rows)
    async with database.transaction() as transaction:
        rows = await transaction.fetch_sql(
            "select key, status, due_at is not null as due from zohosync.records "
            "where kind = 'subscriptions' order by key"
        )
    assert [tuple(row.values()) for row in rows] == [
        ("s1", "pending", True), ("s2", "waiting", False),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "busy",
    ["intent_id = 7", "zoho_id = 'z9'", "status = 'syncing', lease_until = now()"],
    ids=["a write in doubt", "a link", "a worker"],
)
async def test_what_is_linked_or_under_way_is_left_alone(database: Database, busy: str) -> None:
    await given(database, "pending")
    async with database.transaction() as transaction:
        await transaction.execute_sql(f"update zohosync.records set {busy}")
    before = await record(database)
    store, reading = await begun(database)
    rows = [{**LINK, "key": "1", "version": 3}]
    assert await store.link("customers", reading.comparison_id, rows) == []
    assert await record(database) == before


async def test_no_record_in_zoho_is_linked_twice(database: Database) -> None:
    await given(database, None)
    store, reading = await begun(database)
    rows = [{**LINK, "key": "1", "version": 1}]
    assert await store.link("customers", reading.comparison_id, rows) == ["1"]
    again = [{**LINK, "key": "2", "version": 1}]
    assert await store.link("customers", reading.comparison_id, again) == []


@pytest.mark.parametrize("before", [None, "failed", "pending"])
async def test_what_is_held_is_let_go_when_nothing_may_be_it_any_more(
    database: Database, before: str | None
) -> None:
    await given(database, before)
    store, reading = await begun(database)
    await store.hold("customers", [{"key": "1", "rivals": ["z1", "z2"], "reason": "two"}])
    held = await record(database)
    assert (held["rivals"], held["status"]) == (["z1", "z2"], before or "pending")
    await store.finish(reading, {})
    now = await record(database)
    assert (now["rivals"], now["status"]) == ([], "pending")


async def test_a_person_says_that_nothing_there_is_it(database: Database) -> None:
    await given(database, "failed")
    store, _ = await begun(database)
    await store.hold("customers", [{"key": "1", "rivals": ["z1"], "reason": "one"}])
    assert await store.free("customers", {"1": ["z0"]}) == [], "what was named is not what it is"
    assert await store.free("customers", {"1": ["z1"], "2": None}) == ["1"]
    now = await record(database)
    assert (now["rivals"], now["status"]) == ([], "pending")
    assert now["due_at"] is not None


async def test_two_never_read_one_list_at_once(database: Database) -> None:
    await given(database, None)
    _, reading = await begun(database)
    other = Comparisons(database, "1", "somebody else")
    assert await other.begin("customers") is None
    assert await other.begin("invoices") is not None
    store = Comparisons(database, "1", "w")
    again = await store.begin("customers")
    assert again is not None
    assert again.comparison_id == reading.comparison_id
    await store.finish(again, {})
    assert await other.begin("customers") is not None


async def test_a_reading_that_is_broken_off_is_free_at_once_and_goes_on(database: Database) -> None:
    await given(database, None)
    store, other = Comparisons(database, "1", "w"), Comparisons(database, "1", "somebody else")

    async def broken_off() -> None:
        async with store.reading("customers") as reading:
            await store.save_page(reading, 1, [Candidate("z1", {})], torn=False)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await broken_off()
    async with other.reading("customers") as goes_on:
        assert (goes_on.at, goes_on.page) == (1, 1)
