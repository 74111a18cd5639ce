"""`check` against a real Postgres: each fault is named with kind, column and a sample key."""

from pathlib import Path
from typing import Any

import pytest

from zohosync.bootstrap import open_trial
from zohosync.clock import Chance
from zohosync.core.checks import Fault
from zohosync.engine.passes import examine
from zohosync.settings import load
from zohosync.store.database import Database
from zohosync.store.inspection import Inspection
from zohosync.wiring import watches_of

TABLES = """
create table people (id integer primary key, name text, email text, city_id integer);
create table cities (id integer primary key, name text);
create table bills (id integer primary key, person_id integer, number text, day date, lines jsonb);
create table parted (id integer, email text) partition by range (id);
create table parted_1 partition of parted for values from (0) to (1000);
create view few as select * from people where id < 3;
insert into cities values (1, 'Cape Town');
insert into people select n, 'P ' || n, n || '@example.com', 1 from generate_series(1, 20) n;
insert into bills select n, n, 'B-' || n, date '2026-03-01',
  jsonb_build_array(jsonb_build_object('name', 'x', 'price', 10, 'quantity', 1))
  from generate_series(1, 20) n;
insert into parted select n, n || '@example.com' from generate_series(1, 20) n;
"""
PEOPLE = "select id as key, name as display_name, email from people"
BILLS = """select id as key, person_id as customer_key, number as invoice_number, day as date,
  lines as invoice_items from bills"""
WATCH_PEOPLE = '[[watch]]\ntable = "public.people"\nkind = "customers"\nkey = "id"\n'
WATCH_BILLS = '[[watch]]\ntable = "public.bills"\nkind = "invoices"\nkey = "id"\n'


@pytest.fixture
async def shop(empty_database_url: str) -> str:
    """A database that was never migrated, with a few tables."""
    await sql(empty_database_url, TABLES)
    return empty_database_url


async def sql(url: str, text: str) -> None:
    database = await Database.open(url, connections=1)
    async with database.transaction() as transaction:
        await transaction.execute_sql(text)
    await database.close()


class Checker:
    """Writes a project and checks it."""

    def __init__(self, url: str, folder: Path) -> None:
        self._flags = {"database.url": url}
        self._folder = folder

    async def __call__(self, toml: str = WATCH_PEOPLE, **mappings: str) -> list[Fault]:
        (self._folder / "zohosync.toml").write_text(toml, encoding="utf-8")
        (self._folder / "mapping").mkdir(exist_ok=True)
        for kind, text in mappings.items():
            (self._folder / "mapping" / f"{kind}.sql").write_text(text, encoding="utf-8")
        settings = load(self._folder, flags=self._flags)
        async with open_trial(settings, chance=Chance(1)) as trial:
            found = await examine(
                trial.source,
                Inspection(trial.database),
                watches_of(settings),
                rehearser=trial.rehearser,
                tell=lambda kind, done: None,
            )
            self.calls = trial.rehearser.result.calls
            return [*trial.faults, *found]


@pytest.fixture
def check(shop: str, tmp_path: Path) -> Checker:
    return Checker(shop, tmp_path)


def only(faults: list[Fault], **where: Any) -> Fault:
    found = [
        fault for fault in faults if all(getattr(fault, name) == v for name, v in where.items())
    ]
    assert len(found) == 1, [str(fault) for fault in faults]
    return found[0]


async def test_a_project_that_fits_has_no_fault_and_says_what_it_costs(check: Checker) -> None:
    toml = WATCH_PEOPLE + WATCH_BILLS
    assert await check(toml, customers=PEOPLE, invoices=BILLS) == []
    # 20 customers, 20 invoices left as drafts, and the one item that their lines are put on
    assert check.calls == 41


async def test_sql_that_the_database_refuses_is_named_and_the_rest_is_checked(
    check: Checker,
) -> None:
    broken = "select id as key, nmae as display_name from people"
    faults = await check(customers=broken, invoices=BILLS)
    assert "nmae" in only(faults, kind="customers").message
    assert only(faults, kind="invoices", column=None).message.startswith("its mapping reads")


async def test_a_column_that_zoho_does_not_have_is_named(check: Checker) -> None:
    fault = only(await check(customers=PEOPLE.replace(" from", ", city_id as citty from")))
    assert (fault.kind, fault.column) == ("customers", "citty")


async def test_a_key_that_comes_twice_has_its_sample(check: Checker) -> None:
    fault = only(await check(customers=f"{PEOPLE} union all {PEOPLE} where id = 7"), column="key",
                 rows=1, key="7")  # fmt: skip
    assert "more than once" in fault.message


async def test_null_where_a_field_is_required_has_its_sample(check: Checker, shop: str) -> None:
    await sql(shop, "update people set email = null where id in (4, 5)")
    fault = only(await check(customers=PEOPLE))
    assert (fault.column, fault.key, fault.rows) == ("email", "4", 2)


async def test_a_null_key_is_named(check: Checker) -> None:
    faults = await check(customers=PEOPLE.replace("id as key", "nullif(id, 9) as key"))
    assert any(fault.column == "key" and "NULL" in fault.message for fault in faults)


async def test_a_key_that_is_computed_scans_and_is_a_fault_even_when_small(
    check: Checker,
) -> None:
    fault = only(await check(customers=PEOPLE.replace("id as key", "id::text as key")))
    assert (fault.kind, fault.column, fault.note) == ("customers", "key", False)
    assert "scans public.people" in fault.message


async def test_a_bare_key_without_an_index_is_a_fault_once_the_table_is_large(
    check: Checker, shop: str
) -> None:
    await sql(shop, "alter table people drop constraint people_pkey")
    assert only(await check(customers=PEOPLE), column="key").note
    await sql(shop, "insert into people select n, 'P', n || '@example.com' "
                    "from generate_series(21, 15000) n; analyze people")  # fmt: skip
    assert not only(await check(customers=PEOPLE), column="key").note


async def test_a_table_that_is_read_but_not_watched_is_named_with_what_to_add(
    check: Checker,
) -> None:
    text = """select p.id as key, p.name as display_name, p.email,
      c.name as "billing_address.city" from people p left join cities c on c.id = p.city_id"""
    fault = only(await check(customers=text))
    assert "reads cities" in fault.message
    assert 'kind = "customers"' in fault.next_step


async def test_the_tables_behind_a_view_are_the_ones_to_watch(check: Checker) -> None:
    assert await check(customers=PEOPLE.replace("people", "few")) == []


async def test_a_watch_on_a_partitioned_table_covers_its_partitions(check: Checker) -> None:
    toml = '[[watch]]\ntable = "parted"\nkind = "customers"\nkey = "id"\n'
    text = "select id as key, email as display_name, email from parted"
    assert [f for f in await check(toml, customers=text) if f.column is None] == []


async def test_a_watch_on_what_is_not_there_is_named(check: Checker) -> None:
    toml = WATCH_PEOPLE + WATCH_PEOPLE.replace("public.people", "public.peple")
    assert "peple" in only(await check(toml, customers=PEOPLE)).message


async def test_a_parent_kind_that_is_not_mapped_is_named(check: Checker) -> None:
    fault = only(await check(WATCH_BILLS, invoices=BILLS))
    assert (fault.kind, fault.column) == ("invoices", "customer_key")


async def test_a_parent_key_that_is_never_returned_has_its_child_as_sample(
    check: Checker,
) -> None:
    people = f"{PEOPLE} where id <> 13"
    faults = await check(WATCH_PEOPLE + WATCH_BILLS, customers=people, invoices=BILLS)
    fault = only(faults)
    assert (fault.kind, fault.column, fault.key) == ("invoices", "customer_key", "13")


async def test_a_row_that_breaks_the_read_is_a_fault_of_its_kind_alone(check: Checker) -> None:
    text = PEOPLE.replace("name as", "(1 / (id - 7))::text as")
    faults = await check(WATCH_PEOPLE + WATCH_BILLS, customers=text, invoices=BILLS)
    assert any("division by zero" in fault.message for fault in faults)


async def test_a_float_in_a_line_is_exact_all_the_same_and_a_float_column_is_not(
    check: Checker,
) -> None:
    invoices = BILLS.replace(" from", ", 1.5::float8 as adjustment from")
    faults = await check(WATCH_PEOPLE + WATCH_BILLS, customers=PEOPLE, invoices=invoices)
    assert any(f.column == "adjustment" and "float" in f.message for f in faults)
