"""A row under a new key keeps its record in Zoho open, though what is gone is ended there."""

from integration.settle_kit import ADA, BOB, MAPPING, Office, Story, tell

BOTH = "customers 1, customers 2"
RENAME = "update people set id = '2' where id = '1'"
SPOIL = "update people set phone = repeat('9', 200000)"
"""A row that cannot be read into a payload, though it still says who it is."""

PLANNED = {
    "plans": "select 'gold' as key, 'G' as plan_code, 'Gold' as name, 50 as recurring_price, "
    "1 as interval, 'goods' as product_key",
    "products": "select 'goods' as key, 'Goods' as name",
    "customers": MAPPING["customers"],
    "subscriptions": "select b.id as key, b.person as customer_key, 'gold' as plan_key, "
    '1 as "plan.quantity" from bills b',
}


def told(url: str, story: Story) -> None:
    tell(url, story, customers="inactivate")


def ends(office: Office) -> int:
    """How many calls closed something in Zoho."""
    paths = ("/markasinactive", "/cancel")
    return sum(request.path.endswith(paths) for request in office.sandbox.ledger.requests)


def test_a_renamed_row_is_not_ended_before_it_takes_its_link_along(database_url: str) -> None:
    async def story(office: Office) -> None:
        await office.settled(ADA.format(1), marks="customers 1")
        was = office.id_of("Ada")
        await office.settled(RENAME, marks=BOTH)
        assert ends(office) == 0
        assert (await office.record("customers", "2"))["zoho_id"] == was
        assert await office.stands("customers", "2") == "synced"
        assert await office.stands("customers", "1") == "skipped no such row here"
        assert office.customers() == ["Ada"]

    told(database_url, story)


def test_a_renamed_subscription_is_not_cancelled(database_url: str) -> None:
    async def story(office: Office) -> None:
        bill = "insert into bills values ('{}', '1', 'S', 0)"
        await office.settled(ADA.format(1), bill.format(7), marks="customers 1, subscriptions 7")
        assert await office.stands("subscriptions", "7") == "synced"
        await office.settled("update bills set id = '8'", marks="subscriptions 7, subscriptions 8")
        assert ends(office) == 0
        assert await office.stands("subscriptions", "8") == "synced"
        (row,) = office.sandbox.ledger.records("subscriptions")
        assert row["status"] == "live"
        await office.settled("delete from bills", marks="subscriptions 8")
        assert ends(office) == 1

    tell(database_url, story, mapping=PLANNED, subscriptions="cancel")


def test_rows_that_are_all_renamed_at_once_pull_no_brake(database_url: str) -> None:
    async def story(office: Office) -> None:
        keys = range(1, 41)
        insert = "insert into people values ('{0}', 'P {0}', '{0}@example.com')"
        before = ", ".join(f"customers {key}" for key in keys)
        await office.settled(*(insert.format(key) for key in keys), marks=before)
        after = ", ".join(f"customers {key}00" for key in keys)
        await office.settled("update people set id = id || '00'", marks=f"{before}, {after}")
        assert ends(office) == 0
        assert len(office.customers()) == 40
        rows = await office.sql("select status, count(*) as n from zohosync.records group by 1")
        assert {row["status"]: row["n"] for row in rows} == {"synced": 40, "skipped": 40}

    told(database_url, story)


def test_a_new_key_that_nobody_marked_is_found_in_the_table(database_url: str) -> None:
    async def story(office: Office) -> None:
        await office.settled(ADA.format(1), BOB.format(3), marks="customers 1, customers 3")
        await office.settled(RENAME, "update people set name = ' Ada ' where id = '2'",
                             marks="customers 1")  # fmt: skip
        assert ends(office) == 0
        assert await office.stands("customers", "2") == "synced"
        assert office.customers() == ["Ada", "Bob"]

    told(database_url, story)


def test_what_waits_for_its_new_row_names_it_and_is_ended_when_that_goes_as_well(
    database_url: str,
) -> None:
    async def story(office: Office) -> None:
        await office.settled(ADA.format(1), marks="customers 1")
        await office.settled(RENAME, SPOIL, marks=BOTH)
        assert (await office.record("customers", "2"))["status"] == "failed"
        assert await office.stands("customers", "1") == (
            "waiting customers 2 says the same and is not in Zoho yet"
        )
        assert ends(office) == 0
        await office.settled("delete from people", marks="customers 2")
        assert ends(office) == 1
        assert await office.stands("customers", "1") == "skipped gone here"

    told(database_url, story)


def test_it_gives_its_link_up_when_its_new_row_can_be_read_again(database_url: str) -> None:
    async def story(office: Office) -> None:
        await office.settled(ADA.format(1), marks="customers 1")
        await office.settled(RENAME, SPOIL, marks=BOTH)
        await office.settled("update people set phone = null", marks="customers 2")
        assert ends(office) == 0
        assert await office.stands("customers", "2") == "synced"
        assert office.customers() == ["Ada"]

    told(database_url, story)


def test_it_is_ended_when_its_new_row_is_not_to_be_in_zoho(database_url: str) -> None:
    async def story(office: Office) -> None:
        await office.settled(ADA.format(1), marks="customers 1")
        await office.settled(RENAME, SPOIL, marks=BOTH)
        assert ends(office) == 0
        await office.settled("update people set phone = 'test'", marks="customers 2")
        assert ends(office) == 1

    chosen = MAPPING["customers"].replace(
        "p.phone", "p.phone, p.phone is distinct from 'test' as eligible"
    )
    tell(database_url, story, mapping=MAPPING | {"customers": chosen}, customers="inactivate")


def test_another_that_says_the_same_and_has_its_own_link_holds_nothing_up(
    database_url: str,
) -> None:
    async def story(office: Office) -> None:
        await office.settled(ADA.format(1), ADA.format(2), marks=BOTH)
        await office.settled("delete from people where id = '2'", marks="customers 2")
        assert ends(office) == 1

    told(database_url, story)
