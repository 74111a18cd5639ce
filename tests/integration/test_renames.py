"""A row that is given another key: it takes its link along, and nothing is made a second time."""

import asyncio

import pytest

from integration.settle_kit import ADA, BILL, Office, tell
from zohosync.core.records import Ref
from zohosync.sandbox import Fault

RENAME = "update people set id = '{1}' where id = '{0}'"
BOTH = "customers 1, customers 2"
LOST = Fault("lost_reply", "POST /customers")
NEVER = Fault("reset", "POST /customers")
LATE = Fault("late_commit", "POST /customers", seconds=280.0)


def test_a_renamed_row_takes_its_link_along_with_all_that_hangs_on_it(database_url: str) -> None:
    async def story(office: Office) -> None:
        await office.settled(ADA.format(1), marks="customers 1")
        await office.settled(BILL.format(1, 1, "B-1"), marks="invoices 1")
        was = office.id_of("Ada")
        await office.clock.sleep(400)
        await office.settled(
            RENAME.format(1, 2), "update bills set person = '2'", marks=f"{BOTH}, invoices 1"
        )
        assert await office.stands("customers", "2") == "synced"
        assert (await office.record("customers", "2"))["zoho_id"] == was
        assert (await office.record("customers", "1"))["zoho_id"] is None
        assert await office.stands("customers", "1") == "skipped no such row here"
        assert await office.stands("invoices", "1") == "synced"
        (row,) = office.sandbox.ledger.records("customers")
        assert str(row["notes"]).endswith(":2")
        assert len(office.sandbox.ledger.records("invoices")) == 1

    tell(database_url, story)


def test_a_key_that_is_given_back_takes_the_link_back(database_url: str) -> None:
    async def story(office: Office) -> None:
        await office.settled(ADA.format(1), marks="customers 1")
        for keys in ((1, 2), (2, 1), (1, 2)):
            await office.clock.sleep(400)
            await office.settled(RENAME.format(*keys), marks=BOTH)
            assert await office.stands("customers", str(keys[1])) == "synced"
        assert office.customers() == ["Ada"]

    tell(database_url, story)


def test_a_bill_under_a_new_key_is_found_by_its_number(database_url: str) -> None:
    async def story(office: Office) -> None:
        await office.settled(
            ADA.format(1), BILL.format(1, 1, "B-1"), marks="customers 1, invoices 1"
        )
        await office.settled("update bills set id = '2'", marks="invoices 2")  # nobody saw 1 go
        assert await office.stands("invoices", "2") == "synced"
        assert len(office.sandbox.ledger.calls("POST /invoices")) == 1

    tell(database_url, story)


@pytest.mark.parametrize("fault", [LOST, NEVER, LATE], ids=["reply lost", "never", "late"])
def test_a_row_that_is_renamed_while_its_create_is_in_doubt_is_made_once(
    database_url: str, fault: Fault
) -> None:
    async def story(office: Office) -> None:
        await office.writes(ADA.format(1), marks="customers 1")
        async with office.working():
            await office.clock.sleep(60 if fault is not LOST else 0.5)
            await office.writes(RENAME.format(1, 2), marks=BOTH)
            await office.clock.sleep(60)
        await office.rests()
        assert office.customers() == ["Ada"]
        assert await office.stands("customers", "2") == "synced"

    tell(database_url, story, fault)


def test_two_rows_that_want_one_link_at_once_get_it_once(database_url: str) -> None:
    async def story(office: Office) -> None:
        await office.settled(ADA.format(1), marks="customers 1")
        was = office.id_of("Ada")
        await office.settled("delete from people", marks="customers 1")
        await office.clock.sleep(400)
        await office.settled(ADA.format(2), ADA.format(3), marks="customers 2, customers 3")
        records = [await office.record("customers", key) for key in ("1", "2", "3")]
        assert [record["zoho_id"] for record in records].count(was) == 1
        linked = [record["zoho_id"] for record in records if record["zoho_id"]]
        assert len(linked) == len(set(linked))
        losers = [record for record in records[1:] if record["zoho_id"] != was]
        if losers[0]["status"] == "failed":
            assert "is linked to customers" in losers[0]["error_message"]

    tell(database_url, story)


def test_a_row_that_is_still_there_keeps_its_link(database_url: str) -> None:
    async def story(office: Office) -> None:
        await office.settled(ADA.format(1), marks="customers 1")
        was = office.id_of("Ada")
        await office.settled(ADA.format(2), marks="customers 2")
        assert (await office.record("customers", "1"))["zoho_id"] == was
        assert office.customers() == ["Ada", "Ada"]

    tell(database_url, story)


def test_what_is_not_beyond_doubt_is_for_a_person_to_say(database_url: str) -> None:
    async def story(office: Office) -> None:
        await office.settled(ADA.format(1), ADA.format(2), marks=BOTH)
        ids = {key: (await office.record("customers", key))["zoho_id"] for key in ("1", "2")}
        await office.settled("delete from people", marks=BOTH)
        await office.settled(ADA.format(3), marks="customers 3")
        record = await office.record("customers", "3")
        assert record["status"] == "failed"
        assert "customers 1" in record["error_message"]
        assert "customers 2" in record["error_message"]
        await office.says("customers", "3", "link", ids["2"])
        await office.rests()
        assert (await office.record("customers", "3"))["zoho_id"] == ids["2"]
        assert (await office.record("customers", "2"))["zoho_id"] is None
        await office.settled(ADA.format(4), marks="customers 4")
        assert (await office.record("customers", "4"))["zoho_id"] == ids["1"]
        await office.settled("delete from people", ADA.format(5), marks="customers 5")
        await office.says("customers", "5", "new")
        await office.rests()
        assert await office.stands("customers", "5") == "synced"
        assert len(office.customers()) == 3

    tell(database_url, story)


def test_only_one_of_two_takes_a_link_whoever_decides_when(database_url: str) -> None:
    async def story(office: Office) -> None:
        await office.settled(ADA.format(1), marks="customers 1")
        await office.settled("delete from people", marks="customers 1")
        await office.writes(ADA.format(2), ADA.format(3), marks="customers 2, customers 3")
        joined = office.joined
        await joined.records.fold_marks()
        await office.clock.sleep(1)
        claims = await joined.records.claim(2)
        rows = await joined.source.desired(claim.ref for claim in claims)
        ends = await asyncio.gather(
            *(joined.worker.attempt(claim, rows[claim.ref], {}) for claim in claims)
        )
        assert sorted(end.result for end in ends) == ["inherited", "inherited"]
        found = {key: await office.record("customers", key) for key in ("1", "2", "3")}
        assert sum(record["zoho_id"] is not None for record in found.values()) == 1
        winner = next(key for key, record in found.items() if record["zoho_id"])
        loser = {"2": "3", "3": "2"}[winner]
        assert found[loser]["status"] == "failed"
        assert str(Ref("customers", winner)) in found[loser]["error_message"]

    tell(database_url, story)
