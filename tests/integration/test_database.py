"""The door to Postgres: types, transactions, trouble in plain words, poolers."""

import asyncio
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any

import psycopg
import pytest

from zohosync.errors import (
    DatabaseError,
)
from zohosync.store.connection import (
    PREPARE_AFTER,
    REPLAN_AFTER,
    SESSION,
    SPELT,
)
from zohosync.store.database import Database, jsonb, query_text


async def numbers(database: Database) -> list[int]:
    return [row["number"] for row in await database.fetch("all_kept")]


async def then(database: Database, text: str, query: str, **options: Any) -> None:
    async with database.transaction(read_only=False, **options) as transaction:
        await transaction.execute_sql(text)
        await transaction.fetch(query)


async def test_money_dates_ids_and_lists_come_back_as_they_are(any_database: Database) -> None:
    instant = datetime(2026, 3, 29, 1, 30, 0, 250_000, tzinfo=UTC)
    async with any_database.transaction() as transaction:
        await transaction.execute_sql("set local timezone = 'Asia/Kathmandu'")
        (row,) = await transaction.fetch_sql(
            "select %(money)s::numeric as money, %(when)s::timestamptz as instant,"
            " date '2026-02-28' as day, %(plain)s::jsonb as plain, %(list)s::jsonb as list,"
            " %(texts)s::text[] as texts, null::text as nothing,"
            " jsonb_build_object('a', 0.10) as j",
            {
                "money": Decimal("10.10"),
                "when": instant,
                "plain": {"price": Decimal("19.990"), "naïve": "سلام 🎉"},
                "list": jsonb([{"amount": Decimal("0.1")}]),
                "texts": ["a", "b"],
            },
        )
    assert row == {
        "money": Decimal("10.10"),
        "instant": instant,
        "day": date(2026, 2, 28),
        "plain": {"price": Decimal("19.990"), "naïve": "سلام 🎉"},
        "list": [{"amount": Decimal("0.1")}],
        "texts": ["a", "b"],
        "nothing": None,
        "j": {"a": Decimal("0.10")},
    }
    assert str(row["plain"]["price"]) == "19.990"
    assert row["instant"].tzinfo is UTC


async def test_a_transaction_lands_whole_or_not_at_all(kept: Database) -> None:
    async with kept.transaction() as transaction:
        assert await transaction.execute("put", number=1, what=None) == 1
        assert await transaction.execute("put", number=2, what={"a": 1}) == 1

    async def fail() -> None:
        async with kept.transaction() as transaction:
            await transaction.execute("put", number=3, what=None)
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert await numbers(kept) == [1, 2]
    assert await kept.fetch_one("all_kept") == {"number": 1, "what": None}


async def test_an_error_passed_over_inside_does_not_look_like_a_commit(kept: Database) -> None:
    async def pass_over() -> None:
        async with kept.transaction() as transaction:
            await transaction.execute("put", number=1, what=None)
            with pytest.raises(DatabaseError, match="division by zero"):
                await transaction.fetch("break", number=0)

    with pytest.raises(DatabaseError, match="rolled back"):
        await pass_over()
    assert await numbers(kept) == []


async def test_a_failed_query_is_named_and_quotes_no_row(kept: Database) -> None:
    await kept.execute("put", number=4711, what=None)
    with pytest.raises(DatabaseError) as caught:
        await kept.execute("put", number=4711, what=None)
    assert "The query put failed: duplicate key" in str(caught.value)
    assert "4711" not in str(caught.value)
    assert (caught.value.sqlstate, caught.value.constraint) == ("23505", "kept_pkey")
    assert not caught.value.retryable


async def test_a_plan_that_was_made_for_an_empty_table_is_not_kept_as_it_grows(
    kept: Database, queries: Path, database_url: str
) -> None:
    (queries / "find.sql").write_text("select number from kept where number = %(number)s")

    async def scans() -> int:
        table = "select seq_scan from pg_stat_xact_user_tables where relname = 'kept'"
        async with kept.transaction() as transaction:
            before = await transaction.fetch_sql(table)
            await transaction.fetch("find", number=1)
            after = await transaction.fetch_sql(table)
        return int(after[0]["seq_scan"]) - int(before[0]["seq_scan"])

    with psycopg.connect(database_url, autocommit=True) as other:
        other.execute("vacuum analyze kept")
        for _ in range(PREPARE_AFTER + 10):  # Postgres keeps a plan from the sixth time on
            assert await scans() == 1
        other.execute("insert into kept select generate_series(1, 20000)")
        assert await scans() == 1
        for _ in range(REPLAN_AFTER):
            await kept.fetch("find", number=1)
    assert await scans() == 0


async def test_a_forgotten_parameter_is_an_error_of_that_query(kept: Database) -> None:
    with pytest.raises(DatabaseError, match=r"The query put failed: .*what"):
        await kept.execute("put", number=1)


async def test_each_query_of_a_batch_sees_what_the_lock_before_it_waited_for(
    kept: Database, queries: Path, database_url: str
) -> None:
    await kept.execute("put", number=1, what=None)
    with psycopg.connect(database_url) as other:
        other.execute("select from kept for update")
        other.execute("insert into kept values (2)")

        async def look() -> list[list[dict[str, object]]]:
            async with kept.transaction() as transaction:
                return await transaction.batch(("lock_kept", {}), ("all_kept", {}))

        async with asyncio.TaskGroup() as group:
            looking = group.create_task(look())
            await waiting_for_a_lock(kept)
            other.commit()
    locked, seen = looking.result()
    assert [row["number"] for row in locked] == [1]
    assert [row["number"] for row in seen] == [1, 2]


async def waiting_for_a_lock(database: Database) -> None:
    for _ in range(1000):
        async with database.transaction() as transaction:
            if await transaction.fetch_sql("select from pg_locks where not granted"):
                return
    raise AssertionError("nobody waits")


async def test_a_batch_alone_is_one_transaction(kept: Database) -> None:
    put = {"number": 1, "what": None}
    assert await kept.batch(("put", put), ("all_kept", {})) == [[], [put]]
    with pytest.raises(DatabaseError, match="The batch put, break failed: division by zero"):
        await kept.batch(("put", {"number": 2, "what": None}), ("break", {"number": 0}))
    assert await numbers(kept) == [1]


async def test_a_lock_that_is_not_free_in_time_asks_for_another_try(
    kept: Database, database_url: str
) -> None:
    await kept.execute("put", number=1, what=None)
    with psycopg.connect(database_url) as other:
        other.execute("select from kept for update")
        with pytest.raises(DatabaseError, match="not free within") as caught:
            await then(kept, "set local lock_timeout = '20ms'", "lock_kept")
    assert caught.value.retryable


async def test_every_transaction_limits_its_waiting_and_its_idling(
    database: Database, pgbouncer_url: str
) -> None:
    pooled = await Database.open(pgbouncer_url)
    for each in (database, pooled):
        async with each.transaction() as transaction:
            (row,) = await transaction.fetch_sql(
                "select current_setting('lock_timeout') as lock,"
                " current_setting('idle_in_transaction_session_timeout') as idle,"
                " current_setting('transaction_isolation') as isolation"
            )
        assert row == {"lock": "2s", "idle": "2s", "isolation": "read committed"}
    await pooled.close()


async def test_a_read_only_transaction_writes_nothing_and_ends_in_time(kept: Database) -> None:
    with pytest.raises(DatabaseError, match="read-only transaction"):
        async with kept.transaction(read_only=True) as transaction:
            await transaction.execute("put", number=1, what=None)
    with pytest.raises(DatabaseError, match="statement timeout"):
        async with kept.transaction(read_only=True, statement_timeout_s=0.03) as transaction:
            await transaction.fetch("slow", seconds=20)


async def test_a_read_that_policies_would_filter_is_an_error_not_an_empty_table(
    kept: Database,
) -> None:
    async with kept.transaction() as transaction:
        await transaction.execute_sql(
            "create role reader; grant select on kept to reader;"
            "alter table kept enable row level security"
        )
    with pytest.raises(DatabaseError, match="row-level security"):
        await then(kept, "set local role reader", "all_kept", row_security_off=True)
    async with kept.transaction() as transaction:
        await transaction.execute_sql("drop owned by reader; drop role reader")


async def test_a_statement_is_described_in_the_words_of_sql(database: Database) -> None:
    async with database.transaction() as transaction:
        await transaction.execute_sql("create type mood as enum ('good')")
        described = await transaction.describe_sql(
            "select 1 as a, 'good'::mood as b, array[1.5] as c, '{}'::jsonb as d,"
            " 'x'::char(3) as e limit 0"
        )
    assert described == [
        ("a", "integer"),
        ("b", "mood"),
        ("c", "numeric[]"),
        ("d", "jsonb"),
        ("e", "bpchar"),
    ]


async def test_types_that_are_known_without_asking_are_spelt_as_postgres_does(
    database: Database,
) -> None:
    async with database.transaction() as transaction:
        found = await transaction.fetch_sql(
            "select oid::int8, format_type(oid, -1) from pg_type where oid < 16384"
        )
    spelt = {row["oid"]: row["format_type"] for row in found}
    assert {code: spelt[code] for code in SPELT} == SPELT
    assert {16, 23, 25, 1043, 1082, 1184, 1700, 3802} <= SPELT.keys()


async def test_many_rows_come_in_batches(database: Database) -> None:
    async with database.transaction(read_only=True) as transaction:
        sizes = [
            len(rows)
            async for rows in transaction.stream_sql(
                "select '100 %' as x from generate_series(1, 25)", rows=10
            )
        ]
    assert sizes == [10, 10, 5]


async def test_whoever_takes_long_over_a_batch_does_not_lose_the_rest(
    kept: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SESSION, "idle_in_transaction_session_timeout", "100ms")
    hasty, found = await Database.open(database_url), 0
    async with hasty.transaction(read_only=True) as transaction:
        async for rows in transaction.stream_sql("select generate_series(1, 20)", rows=10):
            await kept.fetch("slow", seconds=0.3)
            found += len(rows)
    assert found == 20
    await hasty.close()


async def test_more_tasks_than_connections_take_turns(kept: Database, database_url: str) -> None:
    few = await Database.open(database_url, connections=2)

    async def put(number: int) -> None:
        async with few.transaction() as transaction:
            await transaction.execute("put", number=number, what=None)

    await asyncio.gather(*(put(number) for number in range(40)))
    assert await numbers(kept) == list(range(40))
    await few.close()


async def test_a_transaction_inside_a_transaction_is_refused_at_once(kept: Database) -> None:
    async with kept.transaction():
        with pytest.raises(RuntimeError, match="inside a transaction"):
            await kept.fetch("all_kept")


async def test_a_cancelled_transaction_leaves_nothing_and_frees_its_place(
    kept: Database, database_url: str
) -> None:
    one = await Database.open(database_url, connections=1)

    async def slow() -> None:
        async with one.transaction() as transaction:
            await transaction.execute("put", number=1, what=None)
            await transaction.fetch("slow", seconds=20)

    for _ in range(2):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(slow(), 0.1)
    assert await one.fetch("all_kept") == []
    await one.close()


async def test_virtual_time_is_what_the_database_tells(database_url: str) -> None:
    instant = datetime(2031, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
    virtual = await Database.open(database_url, now=lambda: instant)
    real = await Database.open(database_url)
    for each, expected in ((virtual, True), (real, False)):
        async with each.transaction() as transaction:
            (row,) = await transaction.fetch_sql("select zohosync.current_time() as now")
        assert (row["now"] == instant) is expected
    await virtual.close()
    await real.close()


async def test_under_virtual_time_transactions_never_overlap(
    kept: Database, database_url: str
) -> None:
    virtual = await Database.open(database_url, now=lambda: datetime(2031, 1, 1, tzinfo=UTC))
    events: list[str] = []

    async def work(name: str) -> None:
        async with virtual.transaction() as transaction:
            events.append(f"{name} begins")
            await transaction.fetch("all_kept")
            events.append(f"{name} ends")

    await asyncio.gather(work("a"), work("b"), work("c"))
    expected = [f"{name} {what}" for name in "abc" for what in ("begins", "ends")]
    assert events == expected
    await virtual.close()


async def test_a_query_is_a_file_and_is_sent_without_what_it_opens_with_for_people() -> None:
    assert query_text("read_migrations").startswith("select")
    names = {path.name for path in files("zohosync.store").joinpath("queries").iterdir()}
    names.remove("measure_day.sql")  # is sent once a day
    longest = max(len(query_text(name.removesuffix(".sql"))) for name in names)
    assert longest <= 4096, "psycopg would read it anew at each use"
    with pytest.raises(FileNotFoundError):
        query_text("no_such_query")
