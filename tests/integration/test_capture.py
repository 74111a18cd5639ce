"""Change capture on a real Postgres: what leaves a mark, what does not, and whom it disturbs."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest
from psycopg import sql

from zohosync.clock import SystemClock
from zohosync.core.governor import PLANS
from zohosync.core.kinds import MAPPED
from zohosync.core.records import Ref
from zohosync.store.capture import Watch, install_watches
from zohosync.store.database import Database
from zohosync.store.organizations import register_organization
from zohosync.store.records import Records

BOOK = """
create table packages (id integer primary key, name text, price numeric);
create table customers (id integer primary key, name text, package_id integer);
create table invoices (id integer primary key, customer_id integer, notes json);
create table invoice_lines (
  id integer primary key, invoice_id integer, found boolean, price numeric, extra json);
"""
CUSTOMERS = Watch("public.customers", "customers", key="id")
LINES = Watch("public.invoice_lines", "invoices", key="invoice_id")
PACKAGES = Watch(
    "public.packages",
    "customers",
    keys="select c.id from customers c join changed p on p.id = c.package_id;  -- who has it",
)
BOOK_WATCHES = (CUSTOMERS, LINES, PACKAGES)
User = psycopg.AsyncConnection[tuple[object, ...]]
Mark = tuple[str, str, str]


@pytest.fixture
async def user(any_database_url: str) -> AsyncIterator[User]:
    """The business's own connection."""
    async with await psycopg.AsyncConnection.connect(any_database_url, autocommit=True) as link:
        await link.execute(BOOK)
        yield link


async def watch(database: Database, *watches: Watch) -> list[str]:
    return await install_watches(database, watches, clock=SystemClock())


async def marks(database: Database) -> list[Mark]:
    """What was marked since the last look: kind, key, op."""
    async with database.transaction() as transaction:
        rows = await transaction.fetch_sql(
            "delete from zohosync.marks returning kind, key, op::text as op"
        )
    return sorted((row["kind"], row["key"], row["op"]) for row in rows)


async def test_insert_update_delete_and_truncate_each_leave_their_mark(
    any_database: Database, user: User
) -> None:
    await watch(any_database, CUSTOMERS)
    await user.execute("insert into customers values (1, 'Ada'), (2, 'Bob')")
    assert await marks(any_database) == [("customers", "1", "I"), ("customers", "2", "I")]
    await user.execute("update customers set name = 'Bo' where id = 2")
    assert await marks(any_database) == [("customers", "2", "U")]
    await user.execute("update customers set id = 3 where id = 2")
    assert await marks(any_database) == [("customers", "2", "U"), ("customers", "3", "U")]
    await user.execute("delete from customers where id = 3")
    assert await marks(any_database) == [("customers", "3", "D")]
    await user.execute("update customers set name = '' where false")
    assert await marks(any_database) == []
    await user.execute("truncate customers")
    assert await marks(any_database) == [("customers", "", "T")]


async def test_a_line_marks_its_invoice_and_both_when_it_moves(
    any_database: Database, user: User
) -> None:
    await watch(any_database, LINES)
    await user.execute("insert into invoice_lines values (1, 7), (2, 7), (3, 7), (4, null)")
    assert await marks(any_database) == [("invoices", "7", "I")]
    await user.execute("update invoice_lines set invoice_id = 8 where id = 1")
    assert await marks(any_database) == [("invoices", "7", "U"), ("invoices", "8", "U")]
    await user.execute("delete from invoice_lines")
    assert await marks(any_database) == [("invoices", "7", "D"), ("invoices", "8", "D")]


async def test_a_lookup_row_marks_everybody_who_depends_on_it(
    any_database: Database, user: User
) -> None:
    await user.execute("insert into packages values (1, 'gold', 9), (2, 'iron', 5)")
    await user.execute(
        "insert into customers select n, 'x', 1 + n % 2 from generate_series(1, 6) n"
    )
    await watch(any_database, PACKAGES)
    await user.execute("update packages set price = 10 where id = 1")
    assert await marks(any_database) == [("customers", key, "U") for key in "246"]
    await user.execute("update packages set id = 20 where id = 2")  # found by what it was
    assert await marks(any_database) == [("customers", key, "U") for key in "135"]


async def test_one_statement_leaves_one_mark_for_each_key(
    any_database: Database, user: User
) -> None:
    await watch(any_database, CUSTOMERS, LINES)
    await user.execute("insert into customers values (1, 'Ada')")
    await marks(any_database)
    await user.execute(
        "insert into customers values (1, 'Ada L.'), (2, 'Bob') "
        "on conflict (id) do update set name = excluded.name"
    )
    assert await marks(any_database) == [("customers", "1", "U"), ("customers", "2", "I")]
    await user.execute("insert into customers values (1, 'x') on conflict do nothing")
    assert await marks(any_database) == []
    await user.execute(
        "merge into customers c using (values (1), (2), (3)) as v (id) on c.id = v.id "
        "when matched and v.id = 1 then delete when matched then update set name = 'merged' "
        "when not matched then insert values (v.id, 'new')"
    )
    expected = [("customers", "1", "D"), ("customers", "2", "U"), ("customers", "3", "I")]
    assert await marks(any_database) == expected
    async with user.cursor() as cursor, cursor.copy("copy invoice_lines from stdin") as copy:
        for number in range(1_000):
            await copy.write_row((number, number % 3, None, None, None))
    assert await marks(any_database) == [("invoices", key, "I") for key in "012"]


async def test_empty_and_endless_keys_are_nobody(any_database: Database, user: User) -> None:
    await user.execute("create table people (code text)")
    await watch(any_database, Watch("public.people", "customers", key="code"))
    await user.execute("insert into people values (null), (''), (repeat('x', 201)), ('ok')")
    assert await marks(any_database) == [("customers", "ok", "I")]


async def test_a_new_customer_is_urgent_and_a_watch_may_say_otherwise(
    any_database: Database, user: User
) -> None:
    lazy = Watch("public.invoices", "invoices", key="id", priority=0)
    await watch(any_database, CUSTOMERS, lazy)
    await user.execute("insert into customers values (1, 'Ada')")
    await user.execute("update customers set name = 'Ada L.'")
    await user.execute("insert into invoices values (1, 1)")
    async with any_database.transaction() as transaction:
        rows = await transaction.fetch_sql("select priority from zohosync.marks order by mark_id")
    assert [row["priority"] for row in rows] == [10, 5, 0]


HOSTILE = """
create role {role};
create schema lair authorization {role};
grant select, insert, update, delete, truncate on all tables in schema public to {role};
alter table customers enable row level security;
create policy own on customers to {role} using (true) with check (true);
set role {role};
create table lair.marks (kind text, key text, op "char", priority smallint);
create table lair.customers (id integer, package_id integer);
create table lair.new_rows (id integer);
create function lair.length(text) returns integer language sql as 'select -1';
set search_path = lair, public, pg_catalog;
"""


async def test_an_app_role_without_rights_on_our_schema_can_write_from_a_hostile_path(
    any_database: Database, user: User
) -> None:
    await watch(any_database, *BOOK_WATCHES)
    role = sql.Identifier(f"app_{user.info.dbname}")
    await user.execute(sql.SQL(HOSTILE).format(role=role))
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await user.execute("select * from zohosync.marks")
    await user.execute("insert into public.customers values (1, 'Ada', 1), (2, 'Bob', 1)")
    await user.execute("update public.customers set name = 'x' where id = 1")
    await user.execute("insert into packages values (1, 'gold', 9)")
    await user.execute("delete from public.customers where id = 2")
    await user.execute("truncate invoice_lines")
    await user.execute("reset role")
    await user.execute("reset search_path")
    kinds = [(key, op) for _, key, op in await marks(any_database)]
    assert kinds == [
        ("1", "I"),
        ("1", "I"),
        ("1", "U"),
        ("2", "D"),
        ("2", "I"),
        ("2", "I"),
        ("", "T"),
    ]
    assert await (await user.execute("select * from lair.marks")).fetchall() == []


async def test_nobody_but_a_trigger_of_ours_can_run_our_functions(
    any_database: Database, user: User
) -> None:
    await watch(any_database, CUSTOMERS)
    role = sql.Identifier(f"other_{user.info.dbname}")
    await user.execute(
        sql.SQL(
            "create role {role}; grant usage on schema zohosync to {role}; "
            "grant create on schema public to {role}; set role {role}"
        ).format(role=role)
    )
    await user.execute("create table mine (id integer)")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await user.execute(
            f"create trigger t after insert on mine referencing new table as new_rows "
            f"for each statement execute function zohosync.{CUSTOMERS.name}()"
        )


async def test_writers_that_cross_do_not_deadlock_over_us(
    any_database: Database, any_database_url: str, user: User
) -> None:
    await watch(any_database, LINES)
    await user.execute("insert into invoice_lines values (1, 1), (2, 2), (3, 1), (4, 2)")

    async def writer(*lines: int) -> None:
        link = await psycopg.AsyncConnection.connect(any_database_url)
        async with link:
            for line in lines:
                await link.execute("update invoice_lines set price = 1 where id = %s", [line])
                await met.wait()

    met = asyncio.Barrier(2)  # each has touched one parent before either touches the other
    await asyncio.gather(writer(1, 2), writer(4, 3))
    assert {mark[1] for mark in await marks(any_database)} == {"1", "2"}


async def test_a_late_commit_is_not_missed_and_a_rollback_leaves_nothing(
    any_database: Database, any_database_url: str, user: User
) -> None:
    await watch(any_database, CUSTOMERS)
    await register_organization(
        any_database,
        org_id="1",
        data_center="us",
        mode="sandbox",
        time_zone="UTC",
        currency=None,
        limits=PLANS["premium"],
        kinds=MAPPED,
    )
    records = Records(any_database, org_id="1", worker="w", lease_s=9, debounce_s=0)
    async with await psycopg.AsyncConnection.connect(any_database_url) as late:
        await late.execute("insert into customers values (1, 'late')")
        await user.execute("insert into customers values (2, 'early')")
        assert await records.fold_marks() == 1
        assert [claim.ref for claim in await records.claim(9)] == [Ref("customers", "2")]
        await late.commit()
        assert await records.fold_marks() == 1
        assert [claim.ref for claim in await records.claim(9)] == [Ref("customers", "1")]
        await late.execute("insert into customers values (3, 'never')")
        await late.rollback()
    assert await records.fold_marks() == 0


async def test_names_and_keys_of_every_sort(any_database: Database, user: User) -> None:
    await user.execute("""
        create schema "My Shop";
        create table "My Shop"."Kunden; --" ("Kunden Nr." uuid, tg_op text, found json);
        create table big (id bigint, tg_op text);
        create table pairs (a text, b integer, key integer, changed json)""")
    pair = "select c.a || ':' || c.b from changed c where key is not null and '$body$' <> '{%s}'"
    await watch(
        any_database,
        Watch('"My Shop"."Kunden; --"', "customers", key="Kunden Nr."),
        Watch("big", "plans", key="id"),
        Watch("public.pairs", "invoices", keys=pair),
    )
    number = "6f1c1f4e-6d0a-4a52-8a2c-111111111111"
    await user.execute('insert into "My Shop"."Kunden; --" values (%s)', [number])
    await user.execute("insert into big values (9223372036854775807, 'x')")
    await user.execute("insert into pairs values ('ö''\\', 2, 1)")
    assert await marks(any_database) == [
        ("customers", number, "I"),
        ("invoices", "ö'\\:2", "I"),
        ("plans", "9223372036854775807", "I"),
    ]


async def test_a_partitioned_table_is_watched_at_its_head(
    any_database: Database, user: User
) -> None:
    await user.execute("""
        create table bills (id integer, year integer, extra json) partition by list (year);
        create table bills_1 partition of bills for values in (1);
        create table bills_2 partition of bills for values in (2)""")
    await watch(any_database, Watch("public.bills", "invoices", key="id"))
    await user.execute("insert into bills values (1, 1), (2, 2)")
    await user.execute("update bills set year = 2 where id = 1")  # moves to the other one
    await user.execute("delete from bills where id = 2")
    found = [mark[1:] for mark in await marks(any_database)]
    assert found == [("1", "I"), ("1", "U"), ("2", "D"), ("2", "I")]
    await user.execute("insert into bills_1 values (3, 1)")  # not seen: the sweep finds it
    assert await marks(any_database) == []


async def test_a_cascade_marks_the_children_too(any_database: Database, user: User) -> None:
    await user.execute(
        "alter table invoice_lines add foreign key (invoice_id) references invoices "
        "on delete cascade"
    )
    await user.execute("insert into invoices values (1)")
    await user.execute("insert into invoice_lines values (1, 1)")
    await watch(any_database, LINES)
    await user.execute("delete from invoices")
    assert await marks(any_database) == [("invoices", "1", "D")]
