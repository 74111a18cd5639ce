"""What a person says of a record that waits for it: what follows in Zoho, and what is refused."""

import pytest

from integration.settle_kit import ADA, BILL, BOB, Office, tell
from zohosync.sandbox import Fault, Faults

LOST = Fault("lost_reply", "POST /customers")
NEVER = Fault("reset", "POST /customers")


async def reused(office: Office) -> None:
    """Ada's key comes back as Bob."""
    await office.settled(ADA.format(1), marks="customers 1")
    await office.settled("delete from people", marks="customers 1")
    await office.settled(BOB.format(1), marks="customers 1")
    assert await office.stands("customers", "1") == "failed key re-used"


def test_the_same_one_keeps_its_link_and_is_brought_into_step(database_url: str) -> None:
    async def story(office: Office) -> None:
        await reused(office)
        was = office.id_of("Ada")
        await office.says("customers", "1", "same")
        await office.rests()
        assert await office.stands("customers", "1") == "synced"
        assert office.customers() == ["Bob"]
        assert office.id_of("Bob") == was
        await office.settled("delete from people", marks="customers 1")
        await office.settled(ADA.format(1), marks="customers 1")
        assert await office.stands("customers", "1") == "failed key re-used"

    tell(database_url, story)


def test_somebody_else_is_made_anew_and_the_old_one_is_left_as_it_was(database_url: str) -> None:
    async def story(office: Office) -> None:
        await reused(office)
        was = office.id_of("Ada")
        await office.says("customers", "1", "new")
        await office.rests()
        assert await office.stands("customers", "1") == "synced"
        assert office.customers() == ["Ada", "Bob"]
        record = await office.record("customers", "1")
        assert record["zoho_id"] == office.id_of("Bob")
        assert record["excluded"] == [was]
        (act,) = await office.sql("select * from zohosync.audit where act = 'settle --new'")
        assert (act["target"], act["why"]) == ("customers 1", "a test")
        assert act["before"]["zoho_id"] == was
        assert act["after"]["zoho_id"] is None
        await office.clock.sleep(400)
        await office.settled("update people set phone = '1'", marks="customers 1")
        assert office.customers() == ["Ada", "Bob"]

    tell(database_url, story)


def test_what_was_billed_to_the_old_one_does_not_pass_for_the_new_ones(database_url: str) -> None:
    async def story(office: Office) -> None:
        bill = BILL.format(9, 1, "B-9")
        await office.settled(ADA.format(1), bill, marks="customers 1, invoices 9")
        assert await office.stands("invoices", "9") == "synced"
        await office.settled("delete from people", marks="customers 1")
        await office.settled(BOB.format(1), marks="customers 1")
        await office.says("customers", "1", "new")
        await office.rests()
        assert await office.stands("customers", "1") == "synced"
        assert (await office.stands("invoices", "9")).startswith("failed")
        message = (await office.record("invoices", "9"))["error_message"]
        assert "customer_id changed here but is fixed in Zoho" in message

    tell(database_url, story)


@pytest.mark.parametrize("fault", [LOST, NEVER], ids=["reply lost", "never arrived"])
def test_the_old_one_is_not_adopted_when_nobody_heard_of_the_new_one(
    database_url: str, fault: Fault
) -> None:
    async def story(office: Office) -> None:
        await reused(office)
        office.sandbox.set_faults(Faults([fault]))
        await office.says("customers", "1", "new")
        await office.rests()
        assert await office.stands("customers", "1") == "synced"
        assert (await office.record("customers", "1"))["zoho_id"] == office.id_of("Bob")
        assert office.customers() == ["Ada", "Bob"]

    tell(database_url, story)


def test_a_write_that_may_still_land_is_not_said_to_be_absent(database_url: str) -> None:
    async def story(office: Office) -> None:
        await office.writes(ADA.format(1), marks="customers 1")
        async with office.working():
            await office.clock.sleep(100)
        assert (await office.record("customers", "1"))["status"] == "uncertain"
        for word in ("absent", "new", "same", "done"):
            said = await office.refused("customers", "1", word)
            assert "2026-" in said or "in doubt" in said
        assert "UTC" in await office.refused("customers", "1", "absent")
        await office.clock.sleep(700)
        await office.says("customers", "1", "absent")
        await office.rests()
        assert office.customers() == ["Ada"]
        assert len(office.sandbox.ledger.calls("POST /customers")) == 2

    tell(database_url, story, NEVER)


def test_nothing_is_linked_beside_a_create_that_may_still_land_but_what_proves_to_be_ours(
    database_url: str,
) -> None:
    async def story(office: Office) -> None:
        other = office.sandbox.by_hand(
            "POST", "/customers", {"display_name": "Ada", "email": "ada@example.com"}
        )["customer"]["customer_id"]
        await office.writes(ADA.format(1), marks="customers 1")
        async with office.working():
            await office.clock.sleep(100)
        assert "may still land" in await office.refused("customers", "1", "link", other)
        (ours,) = (
            row["customer_id"]
            for row in office.sandbox.ledger.records("customers")
            if row["customer_id"] != other
        )
        await office.says("customers", "1", "link", ours)
        await office.rests()
        assert (await office.record("customers", "1"))["zoho_id"] == ours
        assert len(office.sandbox.ledger.calls("POST /customers")) == 1

    stale = Fault("stale_list", "GET /customers", times=9, seconds=3_000.0)
    tell(database_url, story, LOST, stale)


def test_what_a_person_links_is_seen_in_zoho_first(database_url: str) -> None:
    async def story(office: Office) -> None:
        await office.settled(ADA.format(1), BOB.format(2), marks="customers 1, customers 2")
        await office.writes("insert into people values ('3', null, 'x@example.com')")
        await office.settled(marks="customers 3")
        assert (await office.stands("customers", "3")).startswith("failed")
        assert "not right" in await office.refused("customers", "3", "link", "12")
        await office.settled("update people set name = 'X' where id = '3'", marks="customers 3")
        await office.sql("select 1")
        ledger = office.sandbox.ledger
        calls = len(ledger.calls())
        assert "no customer 4711" in await office.refused_unlinked("customers", "3", "4711")
        assert len(ledger.calls()) == calls + 1
        assert "linked to customers 2 already" in await office.refused_unlinked(
            "customers", "3", office.id_of("Bob")
        )

    tell(database_url, story)


def test_a_record_that_zoho_lost_is_linked_to_the_one_that_a_person_found(
    database_url: str,
) -> None:
    async def story(office: Office) -> None:
        await office.settled(ADA.format(1), marks="customers 1")
        books = office.sandbox.books.customers
        books.drop(books.rows[office.id_of("Ada")])
        await office.clock.sleep(400)
        await office.settled("update people set phone = '1'", marks="customers 1")
        assert (await office.stands("customers", "1")).startswith("failed")
        assert "no longer in Zoho" in await office.refused("customers", "1", "new")
        made = office.sandbox.by_hand(
            "POST", "/customers", {"display_name": "Ada L.", "email": "ada@example.com"}
        )["customer"]["customer_id"]
        await office.says("customers", "1", "link", made)
        await office.rests()
        assert await office.stands("customers", "1") == "synced"
        assert office.customers() == ["Ada L."]
        await office.clock.sleep(400)
        await office.settled("update people set phone = '2'", marks="customers 1")
        (row,) = office.sandbox.ledger.records("customers")
        assert row["phone"] == "2"

    tell(database_url, story)


def test_what_was_mended_by_hand_is_in_step_with_the_row_as_it_is(database_url: str) -> None:
    async def story(office: Office) -> None:
        await office.settled(ADA.format(1), marks="customers 1")
        await office.settled(BILL.format(1, 1, "B-1"), marks="invoices 1")
        assert await office.stands("invoices", "1") == "synced"
        await office.clock.sleep(400)
        await office.settled("update bills set number = 'B-9'", marks="invoices 1")
        assert (await office.stands("invoices", "1")).startswith("failed")
        assert "key did not come back" in await office.refused("invoices", "1", "same")
        calls = len(office.sandbox.ledger.calls())
        await office.says("invoices", "1", "done")
        await office.rests()
        assert await office.stands("invoices", "1") == "synced"
        assert len(office.sandbox.ledger.calls()) == calls

    tell(database_url, story)


def test_nothing_is_settled_that_is_in_step_or_unknown_or_under_way(database_url: str) -> None:
    async def story(office: Office) -> None:
        await office.settled(ADA.format(1), marks="customers 1")
        for word in ("same", "new", "absent", "done"):
            assert "nothing of that to settle" in await office.refused("customers", "1", word)
        assert "no record of customers 7" in await office.refused("customers", "7", "new")
        assert "linked to" in await office.refused("customers", "1", "link", "1")
        await office.writes(marks="customers 1")
        await office.joined.records.fold_marks()
        await office.clock.sleep(400)
        await office.joined.records.claim(1)
        assert "worked on" in await office.refused("customers", "1", "new")

    tell(database_url, story)


def test_a_word_that_was_overtaken_writes_nothing(database_url: str) -> None:
    async def story(office: Office) -> None:
        await reused(office)
        await office.overtaken("customers", "1", "new")

    tell(database_url, story)
