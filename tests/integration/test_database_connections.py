"""The way to Postgres: addresses, passwords, dead and lost connections, a pooler in between."""

import asyncio
import re
import socket
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from psycopg import waiting

from conftest import Cluster
from zohosync.errors import (
    CommitUnknownError,
    DatabaseLoginError,
    DatabaseUnavailableError,
    SettingsError,
)
from zohosync.store.database import Database
from zohosync.store.migrate import verify

SECRET = "hunter2"


async def numbers(database: Database) -> list[int]:
    return [row["number"] for row in await database.fetch("all_kept")]


async def test_a_cancellation_that_the_wait_swallows_is_heard_all_the_same(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = waiting.wait_async
    pooled = await Database.open(database_url)

    async def swallowing(*arguments: Any, **limits: Any) -> Any:
        done = await original(*arguments, **limits)
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        with suppress(asyncio.CancelledError):  # as wait_for does when both happen at once
            await asyncio.Event().wait()
        return done

    async def ask() -> None:
        monkeypatch.setattr(waiting, "wait_async", swallowing)
        async with pooled.transaction() as transaction:
            await transaction.fetch_sql("select 1 as one")

    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(ask())
    assert asking.cancelled()
    monkeypatch.undo()
    await pooled.close()


async def test_connections_that_died_while_idle_are_replaced_unseen(
    kept: Database, database_url: str
) -> None:
    async def touch() -> None:
        await kept.fetch("all_kept")

    await asyncio.gather(*(touch() for _ in range(8)))
    kill_others(database_url)
    await asyncio.gather(*(touch() for _ in range(8)))


def kill_others(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as other:
        other.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )


async def test_a_connection_lost_in_a_transaction_is_an_error_that_asks_for_another_try(
    kept: Database, database_url: str
) -> None:
    async def lose() -> None:
        async with kept.transaction() as transaction:
            await transaction.fetch("all_kept")
            kill_others(database_url)
            await transaction.execute("put", number=1, what=None)

    with pytest.raises(DatabaseUnavailableError, match="lost during the query put") as caught:
        await lose()
    assert caught.value.retryable
    assert await numbers(kept) == []


async def test_a_connection_lost_at_commit_is_not_called_a_failure_nor_a_success(
    kept: Database, database_url: str
) -> None:
    async def lose() -> None:
        async with kept.transaction() as transaction:
            await transaction.execute("put", number=1, what=None)
            kill_others(database_url)

    with pytest.raises(CommitUnknownError, match="being committed"):
        await lose()
    assert await numbers(kept) == []


async def test_eight_clients_work_through_a_transaction_pooler(
    kept: Database, pgbouncer_url: str
) -> None:
    clients = [await Database.open(pgbouncer_url, connections=3) for _ in range(8)]

    async def work(client: Database, number: int) -> None:
        for step in range(10):
            async with client.transaction() as transaction:
                await transaction.execute("put", number=number * 100 + step, what={"a": [step]})
                await transaction.batch(("lock_kept", {}), ("all_kept", {}))
            await client.fetch("all_kept")

    await verify(clients[0])
    await asyncio.gather(*(work(client, number) for number, client in enumerate(clients)))
    assert len(await numbers(kept)) == 80
    for client in clients:
        await client.close()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "No database is named"),
        (f"mysql://root:{SECRET}@localhost/shop", "not with mysql://"),
        (f"postgresql+psycopg://u:{SECRET}@localhost/shop", r"not with postgresql\+psycopg://"),
        (f"postgresql://u:{SECRET}@@host/shop", "cannot be read"),
        (f"postgresql://u:{SECRET}/x@host/shop", "cannot be read"),
        (f"postgresql://u:{SECRET}%zz@host/shop", "cannot be read"),
        (f"just words {SECRET}", "cannot be read"),
        (f"postgresql://u:{SECRET}@localhost:99999/shop", None),
        (f"postgresql://u:{SECRET}@no-such-host.invalid/shop", "host name is not known"),
    ],
)
async def test_a_wrong_url_says_what_is_wrong_and_never_the_password(
    url: str, says: str | None
) -> None:
    with pytest.raises((SettingsError, DatabaseUnavailableError)) as caught:
        await Database.open(url)
    told = str(caught.value)
    assert SECRET not in told
    assert re.search(says or "", told), told


async def test_a_dead_database_is_called_that() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(DatabaseUnavailableError, match="No database answers") as caught:
            await Database.open(f"postgresql://u:{SECRET}@127.0.0.1:{port}/shop")
    assert f"postgresql://u@127.0.0.1:{port}/shop" in str(caught.value)
    assert SECRET not in str(caught.value)


async def test_no_such_database_and_no_such_user_are_told_apart(database_url: str) -> None:
    with pytest.raises(DatabaseLoginError, match="no database of that name"):
        await Database.open(re.sub(r"@/\w+", "@/nowhere", database_url))
    with pytest.raises(DatabaseLoginError, match="does not know that user"):
        await Database.open(database_url.replace("postgres@/", "stranger@/"))


async def test_a_wrong_password_is_told_and_not_shown(
    embedded_cluster: Cluster, database_url: str
) -> None:
    access = embedded_cluster.postgres.home.data / "pg_hba.conf"
    access.write_text("local all clerk scram-sha-256\n" + access.read_text())
    embedded_cluster.admin.execute("create role clerk login password 'right'")
    embedded_cluster.admin.execute("select pg_reload_conf()")
    url = database_url.replace("postgres@/", "clerk:{}@/")
    await (await Database.open(url.format("right"))).close()
    for password in (SECRET, ""):
        with pytest.raises(DatabaseLoginError, match="refused the password") as caught:
            await Database.open(url.format(password))
        assert SECRET not in str(caught.value)
    embedded_cluster.admin.execute("drop role clerk")
