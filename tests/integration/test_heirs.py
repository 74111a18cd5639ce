"""A row under a new key keeps its record in Zoho open, though what is gone is ended there."""

import asyncio

from integration.settle_kit import ADA, BOB, MAPPING, Office, Story, tell
from zohosync.store.database import Database
from zohosync.store.source import Source

BOTH = "customers 1, customers 2"
RENAME = "update people set id = '2' where id = '1'"
SPOIL = "update people set phone = repeat('9', 200000)"
"""A row that cannot be read into a payload, though it still says who it is."""

UNSEARCHABLE = (
    "create view people as select id, name, phone, "
    "left((1 / (id <> '3')::int)::text, 0) || email as email from others"
)
"""What row 3 says of itself raises, so nobody can look all rows through for it."""

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


def test_a_key_that_is_given_to_somebody_else_meanwhile_is_not_taken_for_the_same(
    database_url: str,
) -> None:
    async def story(office: Office) -> None:
        await office.settled(ADA.format(1), marks="customers 1")
        was = office.id_of("Ada")
        await office.settled(RENAME, SPOIL, marks=BOTH)
        await office.settled(BOB.format(1), marks="customers 1")
        assert await office.stands("customers", "1") == "failed key re-used"
        await office.settled("update people set phone = null", marks="customers 2")
        assert (await office.record("customers", "2"))["zoho_id"] == was
        assert ends(office) == 0
        assert office.id_of("Ada") == was

    told(database_url, story)


def test_what_cannot_be_searched_for_is_not_ended_and_says_so_until_it_can(
    database_url: str,
) -> None:
    async def story(office: Office) -> None:
        await office.settled(ADA.format(1), BOB.format(3), marks="customers 1, customers 3")
        await office.writes("alter table people rename to others", UNSEARCHABLE)
        await office.clock.sleep(400)
        await office.writes("delete from others where id = '1'", marks="customers 1")
        async with office.working():
            await office.clock.sleep(8)
        record = await office.record("customers", "1")
        assert record["status"] == "retrying"
        assert "nobody can tell if its row has another key" in record["error_message"]
        assert ends(office) == 0
        await office.settled("delete from others", marks="customers 3")
        assert ends(office) == 2

    told(database_url, story)


def test_a_row_that_cannot_be_read_is_found_by_what_it_says_of_itself(database_url: str) -> None:
    broken = MAPPING["customers"].replace("p.phone", "p.phone::int as phone")

    async def story(office: Office) -> None:
        await office.settled(ADA.format(1), marks="customers 1")
        await office.settled(RENAME, "update people set phone = 'x'", marks=BOTH)
        assert (await office.record("customers", "2"))["status"] == "failed"
        assert (await office.record("customers", "1"))["status"] == "waiting"
        assert ends(office) == 0

    tell(database_url, story, mapping={"customers": broken}, customers="inactivate")


def test_a_row_that_was_passed_over_is_looked_at_again_for_what_waits_for_it(
    database_url: str,
) -> None:
    async def story(office: Office) -> None:
        await office.settled(ADA.format(1), marks="customers 1")
        await office.settled(RENAME, SPOIL, marks="customers 2")  # nobody saw 1 go
        assert (await office.record("customers", "2"))["status"] == "failed"
        await office.settled("update people set phone = null", marks="customers 1")
        assert await office.stands("customers", "2") == "synced"
        assert await office.stands("customers", "1") == "skipped no such row here"
        assert (ends(office), office.customers()) == (0, ["Ada"])

    told(database_url, story)


async def test_rows_are_found_by_what_they_say_whatever_blanks_are_around_it(
    any_database: Database,
) -> None:
    names = ["Vera", "Olav", "gold-v", "\u00a0Ada\u00a0", "\tTab\n", "O'Neil 100%", "", None]
    async with any_database.transaction() as transaction:
        await transaction.execute_sql("create table public.people (id serial, name text)")
        for name in names:
            await transaction.execute_sql(
                "insert into public.people (name) values (%(name)s)", {"name": name}
            )
        text = "select p.id as key, p.name as display_name, '100%' as email from public.people p"
    source = await Source.open(
        any_database, {"customers": text}, installation="x", marker_field=None, time_zone="UTC"
    )

    async def found(name: str) -> list[str]:
        said = {"display_name": name, "email": "100%"}
        return [ref.key for ref in await source.alike("customers", said)]

    asked = ["Vera", "Olav", "gold-v", "Ada", "Tab", "O'Neil 100%", "Era", "Nobody"]
    together = await asyncio.gather(*(found(name) for name in asked))
    assert together == [["1"], ["2"], ["3"], ["4"], ["5"], ["6"], [], []]
    assert await source.alike("customers", {"display_name": "Vera", "nickname": "v"}) == []
    assert await source.alike("customers", {}) == []
