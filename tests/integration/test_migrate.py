"""Migrations: forward only, each once, and a refusal that says what to run."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from zohosync.errors import SchemaError
from zohosync.store.database import Database
from zohosync.store.migrate import migrate, verify

FIRST = """
create schema zohosync;
create function zohosync.current_time() returns timestamptz language sql volatile
  as $$ select clock_timestamp() $$;
create table zohosync.shelf (book text);
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "0001_first.sql").write_text(FIRST)
    (tmp_path / "0002_second.sql").write_text("insert into zohosync.shelf values ('100 %');")
    return tmp_path


@pytest.fixture
async def empty(empty_database_url: str) -> AsyncIterator[Database]:
    opened = await Database.open(empty_database_url)
    yield opened
    await opened.close()


async def shelf(database: Database) -> list[str]:
    async with database.transaction() as transaction:
        return [row["book"] for row in await transaction.fetch_sql("table zohosync.shelf")]


async def test_missing_migrations_are_applied_in_order_and_once(
    empty: Database, directory: Path
) -> None:
    assert await migrate(empty, directory=directory) == ["0001_first.sql", "0002_second.sql"]
    assert await migrate(empty, directory=directory) == []
    assert await shelf(empty) == ["100 %"]
    await verify(empty, directory=directory)


async def test_processes_that_migrate_at_once_apply_each_once(
    empty: Database, empty_database_url: str, directory: Path
) -> None:
    others = [await Database.open(empty_database_url) for _ in range(4)]
    applied = await asyncio.gather(*(migrate(each, directory=directory) for each in others))
    for each in others:
        await each.close()
    assert sorted(name for names in applied for name in names) == [
        "0001_first.sql",
        "0002_second.sql",
    ]
    assert await shelf(empty) == ["100 %"]


async def test_an_empty_database_is_out_of_date_and_told_the_command(
    empty: Database, directory: Path
) -> None:
    with pytest.raises(SchemaError, match=r"no schema of ours yet.*run `zohosync migrate`"):
        await verify(empty, directory=directory)


async def test_one_missing_migration_is_named(empty: Database, directory: Path) -> None:
    await migrate(empty, directory=directory)
    (directory / "0003_third.sql").write_text("select 1")
    with pytest.raises(SchemaError, match=r"0003_third\.sql not applied"):
        await verify(empty, directory=directory)


async def test_a_file_changed_after_it_was_applied_is_refused_by_name(
    empty: Database, directory: Path
) -> None:
    await migrate(empty, directory=directory)
    (directory / "0002_second.sql").write_text("select 2")
    for attempt in (migrate, verify):
        with pytest.raises(SchemaError, match=r"0002_second\.sql is not the one"):
            await attempt(empty, directory=directory)


async def test_line_endings_change_nothing(empty: Database, directory: Path) -> None:
    await migrate(empty, directory=directory)
    (directory / "0001_first.sql").write_bytes(FIRST.replace("\n", "\r\n").encode())
    await verify(empty, directory=directory)


async def test_a_database_of_a_newer_release_is_refused(empty: Database, directory: Path) -> None:
    await migrate(empty, directory=directory)
    (directory / "0002_second.sql").unlink()
    for attempt in (migrate, verify):
        with pytest.raises(SchemaError, match=r"newer zohosync \(0002_second\.sql"):
            await attempt(empty, directory=directory)


async def test_a_number_left_out_is_refused(empty: Database, directory: Path) -> None:
    (directory / "0004_fourth.sql").write_text("select 4")
    await migrate(empty, directory=directory)
    (directory / "0003_late.sql").write_text("select 3")
    with pytest.raises(SchemaError, match=r"0003_late\.sql was left out"):
        await migrate(empty, directory=directory)


async def test_a_migration_that_fails_leaves_nothing_and_the_ones_before_it_stay(
    empty: Database, directory: Path
) -> None:
    (directory / "0003_bad.sql").write_text(
        "insert into zohosync.shelf values ('half'); select 1 / 0;"
    )
    with pytest.raises(SchemaError, match=r"0003_bad\.sql failed.*division by zero"):
        await migrate(empty, directory=directory)
    assert await shelf(empty) == ["100 %"]
    (directory / "0003_bad.sql").write_text("insert into zohosync.shelf values ('whole')")
    assert await migrate(empty, directory=directory) == ["0003_bad.sql"]
    assert await shelf(empty) == ["100 %", "whole"]


@pytest.mark.parametrize("name", ["3_third.sql", "0002_again.sql", "0003-third.sql"])
async def test_a_file_out_of_line_is_named(empty: Database, directory: Path, name: str) -> None:
    (directory / name).write_text("select 1")
    with pytest.raises(SchemaError, match=name):
        await migrate(empty, directory=directory)


async def test_a_busy_table_is_waited_for_and_then_given_up(
    empty: Database, empty_database_url: str, directory: Path
) -> None:
    other = await Database.open(empty_database_url)
    await migrate(empty, directory=directory)
    (directory / "0003_alter.sql").write_text(
        "set local lock_timeout = '20ms'; alter table zohosync.shelf add column place text;"
    )
    async with empty.transaction() as reader:
        await reader.fetch_sql("select from zohosync.shelf")
        with pytest.raises(SchemaError, match="less busy"):
            await migrate(other, directory=directory)
    assert await migrate(other, directory=directory) == ["0003_alter.sql"]
    await other.close()


async def test_our_own_migrations_apply_to_both_servers(any_database: Database) -> None:
    await verify(any_database)
    async with any_database.transaction() as transaction:
        bare = await transaction.fetch_sql(
            "select relname from pg_class where relnamespace = 'zohosync'::regnamespace"
            " and relkind in ('r', 'p') and not relrowsecurity"
        )
    assert bare == []
