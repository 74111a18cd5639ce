"""A table and queries of the tests' own, for the tests of the door to Postgres."""

from pathlib import Path

import pytest

from zohosync.store import database as door
from zohosync.store.database import Database


@pytest.fixture
def queries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of queries of the tests' own, beside ours."""
    real = door._query
    for name, text in {
        "put": "insert into kept (number, what) values (%(number)s, %(what)s)",
        "all_kept": "-- 100 %%\nselect number, what from kept order by number",
        "lock_kept": "select number from kept for update",
        "slow": "select pg_sleep(%(seconds)s)",
        "break": "select 1 / %(number)s",
    }.items():
        (tmp_path / f"{name}.sql").write_text(text)

    def query(name: str) -> bytes:
        own = tmp_path / f"{name}.sql"
        return own.read_bytes() if own.exists() else real(name)

    monkeypatch.setattr(door, "_query", query)
    return tmp_path


@pytest.fixture
async def kept(database: Database, queries: Path) -> Database:
    async with database.transaction() as transaction:
        await transaction.execute_sql("create table kept (number int primary key, what jsonb)")
    return database
