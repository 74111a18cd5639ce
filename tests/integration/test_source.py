"""The user's tables, read through the mapping on a real Postgres: the row as it is, or a fault."""

import asyncio
import contextlib
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg import sql

from zohosync.core.records import Desired, Ref
from zohosync.errors import DatabaseError, DatabaseUnavailableError, MappingError
from zohosync.store import source as module
from zohosync.store.database import Database
from zohosync.store.source import Source

PEOPLE = """
create table people (
  id integer primary key, name text not null, born timestamptz, divisor integer default 1,
  day date, seen timestamptz, moved timestamp);
insert into people (id, name) values (1, 'Ada'), (2, 'Bob'), (3, 'Zoë 100%');
"""
NAMES = "select id as key, name as display_name, name || '@example.com' as email from people"


async def run(database: Database, text: str) -> None:
    async with database.transaction() as transaction:
        await transaction.execute_sql(text)


async def opened(database: Database, text: str, kind: str = "customers", **zone: str) -> Source:
    return await Source.open(
        database,
        {kind: text},
        installation="here",
        marker_field=None,
        time_zone=zone.get("zone", "Africa/Johannesburg"),
    )


async def read(source: Source, *keys: str, kind: str = "customers") -> dict[str, Desired | None]:
    wanted = await source.desired([Ref(kind, key) for key in keys])
    assert set(wanted) == {Ref(kind, key) for key in keys}
    return {ref.key: desired for ref, desired in wanted.items()}


def says(desired: Desired | None) -> str:
    """The first fault of a row."""
    assert desired is not None
    assert desired.faults
    return desired.faults[0].message


def payload(desired: Desired | None) -> Mapping[str, Any]:
    assert desired is not None
    assert desired.faults == ()
    return desired.payload


async def test_rows_are_found_by_their_key_and_a_missing_one_is_nothing(
    any_database: Database,
) -> None:
    await run(any_database, PEOPLE)
    source = await opened(any_database, NAMES)
    found = await read(source, "1", "3", "9")
    assert payload(found["1"])["display_name"] == "Ada"
    assert payload(found["3"])["display_name"] == "Zoë 100%"
    assert found["9"] is None
    everybody = [row["key"] async for rows in source.all_rows("customers", batch=2) for row in rows]
    assert everybody == ["1", "2", "3"]


KEYS = {
    "uuid": ["6f1c1f4e-6d0a-4a52-8a2c-111111111111"],
    "bigint": ["9223372036854775807", "-1"],
    "text": ["a:b", "%", "ö'\\", " "],
    "varchar(9)": ["x"],
    "char(5)": ["ab"],
    "numeric": ["1.50"],
    "boolean": ["true"],
    "date": ["2026-02-03"],
    "mood": ["sad"],
    '"Odd Name"': ["7"],
    "citext": ["Ada"],
}


async def test_keys_are_compared_in_their_own_type_and_spelled_as_the_marks_spell_them(
    any_database: Database,
) -> None:
    await run(
        any_database,
        "create type mood as enum ('sad', 'glad'); create domain \"Odd Name\" as integer;",
    )
    async with any_database.transaction() as transaction:
        has = await transaction.fetch_sql(
            "select from pg_available_extensions where name = 'citext'"
        )
        await transaction.execute_sql(
            "create extension citext" if has else "create domain citext as text"
        )
    for number, (key_type, keys) in enumerate(KEYS.items()):
        async with any_database.transaction() as transaction:
            await transaction.execute_sql(f"create table t{number} (k {key_type} primary key)")
            for key in keys:
                text = f"insert into t{number} values (%(key)s)"
                await transaction.execute_sql(text, {"key": key})
            marks = await transaction.fetch_sql(f"select k::text as key from t{number}")
        source = await opened(any_database, f"select k as key, 'x' as email from t{number}")
        found = await read(source, *[mark["key"] for mark in marks])
        assert None not in found.values(), key_type
        await run(any_database, "truncate zohosync.marks")
        assert await source.mark_all("customers", priority=1) == len(keys)
        async with any_database.transaction() as transaction:
            assert await transaction.fetch_sql("select key from zohosync.marks") == marks
        assert [row["key"] async for rows in source.all_rows("customers") for row in rows] == [
            mark["key"] for mark in marks
        ]


async def test_a_row_that_cannot_be_read_fails_alone(any_database: Database) -> None:
    await run(any_database, PEOPLE + "update people set divisor = 0 where id = 2")
    source = await opened(any_database, f"{NAMES} where 1 / divisor = 1")
    found = await read(source, "1", "2", "3", "x")
    assert payload(found["1"])["display_name"] == "Ada"
    assert payload(found["3"])["email"] == "Zoë 100%@example.com"
    assert "division by zero" in says(found["2"])
    assert "invalid input syntax" in says(found["x"])  # a mark by hand, for no key of this table


async def test_a_date_that_no_calendar_here_holds_fails_alone(any_database: Database) -> None:
    days = ("infinity", "-infinity", "20260-01-01", "0044-03-15 BC")
    await run(any_database, f"{PEOPLE}; truncate people")
    async with any_database.transaction() as transaction:
        for place, column in enumerate(("day", "seen", "moved")):
            for number, day in enumerate((*days, "9999-12-31 12:00")):
                await transaction.execute_sql(
                    f"insert into people (id, name, {column}) "
                    f"values ({place}{number}, 'x', '{day}')"
                )
    source = await opened(
        any_database,
        "select id as key, day as notes, seen as first_name, moved as last_name, "
        "name as display_name, name as email from people",
    )
    found = await read(source, *[str(place * 10 + n) for place in range(3) for n in range(5)])
    for key, desired in found.items():
        if key[-1] == "4":
            assert payload(desired)["display_name"] == "x"
        else:
            assert "cannot be read" in says(desired)


async def test_a_key_that_comes_twice_is_a_fault_that_names_it(any_database: Database) -> None:
    await run(any_database, PEOPLE)
    source = await opened(any_database, f"{NAMES} union all {NAMES} where id = 2")
    found = await read(source, "1", "2")
    assert payload(found["1"])["display_name"] == "Ada"
    assert says(found["2"]) == "the mapping returns key 2 2 times"


async def test_a_mapping_may_return_nothing(any_database: Database) -> None:
    await run(any_database, PEOPLE)
    source = await opened(any_database, f"{NAMES} where false")
    assert await read(source, "1") == {"1": None}
    assert [rows async for rows in source.all_rows("customers")] == []
    assert await source.mark_all("customers", priority=1) == 0


async def test_filtered_reads_are_errors_not_empty_tables(
    any_database: Database, any_database_url: str
) -> None:
    await run(any_database, PEOPLE)
    source = await opened(any_database, NAMES)
    app = f"reader_{psycopg.conninfo.conninfo_to_dict(any_database_url)['dbname']}"
    async with await psycopg.AsyncConnection.connect(any_database_url, autocommit=True) as user:
        await user.execute(
            sql.SQL(
                "create role {app} login; grant select on people to {app};"
                "alter table people enable row level security"
            ).format(app=sql.Identifier(app))
        )
    assert (await read(source, "1"))["1"] is not None  # the owner sees everything
    limited = await Database.open(any_database_url.replace("postgres@", f"{app}@"))
    with pytest.raises(MappingError, match="row-level security") as refused:
        await opened(limited, NAMES)
    assert "bypassrls" in str(refused.value)
    source._database = limited
    assert "row-level security" in says((await read(source, "1"))["1"])
    await limited.close()


async def test_days_are_days_of_the_organizations_time_zone(any_database: Database) -> None:
    await run(any_database, f"{PEOPLE}; update people set born = '2026-03-01 22:30Z' where id = 1")
    text = "select id as key, born as date, born::date::text as notes from people"
    for zone, day in (("Africa/Johannesburg", "2026-03-02"), ("America/New_York", "2026-03-01")):
        source = await opened(any_database, text, "invoices", zone=zone)
        found = (await read(source, "1", kind="invoices"))["1"]
        assert found is not None
        assert (found.payload["date"], found.payload["notes"]) == (day, day)
        rows = [row async for batch in source.all_rows("invoices") for row in batch]
        assert {row["key"]: row["notes"] for row in rows}["1"] == day


@pytest.mark.parametrize(
    "ending",
    [
        " where name like '%a%' -- 100 %",
        " where name like '%a'; ",
        ";\n-- that is all; really\n\n/* yes; */ ;",
        " where id %(keys) > 0 and 5 % 3 = 2",
    ],
)
async def test_percent_signs_comments_and_semicolons_are_plain_text(
    any_database: Database, ending: str
) -> None:
    await run(any_database, PEOPLE)
    text = f"-- who we bill: 100 %s\n{NAMES}{ending.replace('%(keys)', '% (9)')}"
    source = await opened(any_database, text)
    assert payload((await read(source, "1"))["1"])["display_name"] == "Ada"
    assert [rows[0]["key"] async for rows in source.all_rows("customers")] == ["1"]
    assert await source.mark_all("customers", priority=1) > 0


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("selec 1", "syntax error"),
        ("", "syntax error"),
        ("select 1 as key; select 2 as key", "syntax error"),
        ("select 1 as key from nowhere", '"nowhere" does not exist'),
        ("select 1 as id", "no column named key"),
        ("select 1 as key, 2 as name, 3 as name", "same name"),
        ("select '{}'::json as key", "json"),
        ("with gone as (delete from people returning id) select id as key from gone", "WITH"),
    ],
)
async def test_a_mapping_that_is_wrong_is_named(
    database: Database, text: str, complaint: str
) -> None:
    await run(database, PEOPLE)
    with pytest.raises(MappingError, match=complaint) as wrong:
        await opened(database, text)
    assert "mapping/customers.sql" in str(wrong.value)


async def test_a_mapping_cannot_write(database: Database) -> None:
    await run(
        database,
        f"{PEOPLE}; create function wipe() returns integer language sql as "
        "'delete from people; select 1'",
    )
    source = await opened(database, f"{NAMES} where wipe() = 1")
    assert "read-only" in says((await read(source, "1"))["1"])


async def test_a_slow_row_fails_alone_and_a_slow_mapping_soon(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "READ_LIMIT_S", 0.2)
    await run(database, f"{PEOPLE}; insert into people select n, 'x' from generate_series(4, 60) n")
    slow = "pg_sleep(case when id > {} then 9 else 0 end)::text = ''"
    source = await opened(database, f"{NAMES} where {slow.format(59)}")
    found = await read(source, "1", "60")
    assert payload(found["1"])["display_name"] == "Ada"
    assert "timeout" in says(found["60"])
    source = await opened(database, f"{NAMES} where {slow.format(0)}")
    async with asyncio.timeout(5):  # not one limit for each
        found = await read(source, *[str(number) for number in range(1, 61)])
    assert all("timeout" in says(desired) for desired in found.values())


async def test_a_locked_table_is_no_fault_of_its_rows(
    database: Database, database_url: str
) -> None:
    await run(database, f"{PEOPLE}; create table invoices (id integer primary key)")
    source = await Source.open(
        database,
        {"customers": NAMES, "invoices": "select id as key from invoices"},
        installation="here",
        marker_field=None,
        time_zone="UTC",
    )
    async with await psycopg.AsyncConnection.connect(database_url) as migration:
        await migration.execute("lock table people")
        wanted = await source.desired([Ref("customers", "1"), Ref("invoices", "1")])
    assert wanted == {Ref("invoices", "1"): None}


HARD_TO_HOLD = {
    "for ever": "'9999-12-31 23:59:59+00'::timestamptz",
    "long ago": "'0001-01-01 00:00:00+00'::timestamptz",
    "nested": "(repeat('[', 600) || repeat(']', 600))::jsonb",
    "very nested": "(repeat('[', 5000) || repeat(']', 5000))::jsonb",
    "infinite": "'infinity'::timestamptz",
    "a span": "interval '178000000 years'",
}


@pytest.mark.parametrize("value", HARD_TO_HOLD.values(), ids=HARD_TO_HOLD.keys())
@pytest.mark.parametrize("zone", ["Africa/Johannesburg", "America/New_York"])
async def test_a_value_that_python_cannot_hold_harms_its_own_row_at_the_most(
    database: Database, value: str, zone: str
) -> None:
    await run(database, PEOPLE)
    notes = f"case id when 1 then {value} end as notes"
    text = f"select id as key, name as display_name, name as email, {notes} from people"
    source = await Source.open(
        database, {"customers": text}, installation="here", marker_field=None, time_zone=zone
    )
    found = await read(source, "1", "2")
    assert found["1"] is not None
    assert payload(found["2"])["display_name"] == "Bob"
    with contextlib.suppress(DatabaseError):  # `check` names the mapping then
        async for rows in source.all_rows("customers"):
            assert [source.as_desired("customers", row).ref.key for row in rows] == ["1", "2", "3"]


async def test_money_in_json_is_exact(any_database: Database) -> None:
    items = """'[{"name": "a", "price": 0.1000000000000000055, "quantity": 3},
                 {"name": "b", "price": 12345678901234567890.12, "quantity": 1}]'::jsonb"""
    source = await opened(any_database, f"select 1 as key, {items} as invoice_items", "invoices")
    found = (await read(source, "1", kind="invoices"))["1"]
    assert found is not None
    prices = [item["price"] for item in found.payload["invoice_items"]]
    assert prices == [Decimal("0.1000000000000000055"), Decimal("12345678901234567890.12")]


async def test_a_database_that_is_gone_is_an_error_and_no_row_is_blamed(
    database: Database, database_url: str
) -> None:
    await run(database, PEOPLE)
    source = await opened(database, f"{NAMES} where pg_sleep(9)::text = ''")
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(gone(source))
        async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as other:
            killed = False
            while not killed and not reading.done():
                await asyncio.wait([reading], timeout=0.02)
                rows = await other.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity "
                    "where query like '%pg_sleep(9)%' and pid <> pg_backend_pid()"
                )
                killed = bool(await rows.fetchall())
    assert isinstance(reading.result(), DatabaseUnavailableError)


async def gone(source: Source) -> Exception | None:
    try:
        await read(source, "1", "2")
    except DatabaseUnavailableError as error:
        return error
    return None
