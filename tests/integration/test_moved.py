"""A database that was moved or copied: nobody works on it until somebody says which it is."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import simplejson

from conftest import TEMPLATE, Cluster
from zohosync.cli import main
from zohosync.clock import Chance, SystemClock
from zohosync.errors import SchemaError
from zohosync.sandbox import Sandbox, SandboxLimits
from zohosync.store.database import Database, Row
from zohosync.store.organizations import (
    copy_installation,
    move_installation,
    pause_kinds,
    register_installation,
)
from zohosync.testing.world import WorldSettings, world

PEOPLE = """
create table people (id integer primary key, name text, email text);
insert into people values (1, 'Ada', 'ada@example.com'), (2, 'Bob', 'bob@example.com');
"""
MAPPING = {"customers": "select id as key, name as display_name, email from people"}
MARKED = "select zohosync.mark('customers', id::text) from people"
FAST = WorldSettings().working(debounce_s=0.0)
STANDING = """
select (select count(*) from zohosync.records where zoho_id is not null)::int as links,
       (select count(*) from zohosync.records)::int as records,
       (select count(*) from zohosync.marks)::int as marks,
       (select count(*) from zohosync.token_cache)::int as tokens,
       (select count(*) from zohosync.api_calls where intent_state = 'open')::int as intents,
       (select installation from zohosync.installation) as installation,
       (select bool_or(active) from zohosync.organizations) as active,
       (select paused from zohosync.organizations) as paused,
       (select paused_kinds @> '{customers}' from zohosync.organizations) as closed,
       (select array_agg(act order by audit_id) from zohosync.audit) as acts
"""


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox(clock=SystemClock(), chance=Chance(7), limits=SandboxLimits.lifted())


async def run_sql(url: str, *texts: str) -> list[Row]:
    database = await Database.open(url, connections=1)
    rows: list[Row] = []
    async with database.transaction() as transaction:
        for text in texts:
            rows = await transaction.fetch_sql(text)
    await database.close()
    return rows


async def standing(url: str) -> Row:
    return (await run_sql(url, STANDING))[0]


async def work(url: str, sandbox: Sandbox, *, until_idle: bool = True) -> None:
    """What a worker does that starts on this database."""
    database = await Database.open(url)
    try:
        async with world(database, MAPPING, sandbox, settings=FAST) as joined:
            stop = asyncio.Event()
            async with asyncio.timeout(30):
                if until_idle:
                    await joined.service.run_until_idle(stop, poll_s=0.05)
    finally:
        await database.close()


@pytest.fixture
async def original(embedded_cluster: Cluster, sandbox: Sandbox) -> AsyncIterator[str]:
    """The name of a database whose two people are in Zoho; a mark is left, and an open intent."""
    name = embedded_cluster.create(TEMPLATE)
    url = embedded_cluster.postgres.url(name)
    database = await Database.open(url, connections=1)
    async with database.transaction() as transaction:
        await transaction.execute_sql(PEOPLE)
    await database.close()
    await work(url, sandbox, until_idle=False)
    await run_sql(url, MARKED)
    await work(url, sandbox)
    await run_sql(
        url,
        "update zohosync.api_calls set intent_state = 'open' where operation = 'customers.create' "
        "returning 1",
        "select zohosync.mark('customers', '1')",
    )
    yield name
    embedded_cluster.drop(name)


@pytest.fixture
def copy(embedded_cluster: Cluster, original: str) -> Iterator[str]:
    """The URL of a copy of it under another name."""
    name = embedded_cluster.create(original)
    yield embedded_cluster.postgres.url(name)
    embedded_cluster.drop(name)


async def opened(url: str) -> Database:
    return await Database.open(url, connections=1)


async def test_a_worker_refuses_a_copy_and_names_both_ways_out(copy: str, sandbox: Sandbox) -> None:
    asked = len(sandbox.ledger.requests)
    with pytest.raises(SchemaError, match=r"migrate --moved`.*migrate --copied`"):
        await work(copy, sandbox)
    assert len(sandbox.ledger.requests) == asked


async def test_another_server_is_another_place_too(copy: str) -> None:
    name = (await run_sql(copy, "select current_database() as name"))[0]["name"]
    await run_sql(
        copy,
        f"update zohosync.installation set database_name = '{name}', system_identifier = '1' "
        "returning 1",
    )
    database = await opened(copy)
    with pytest.raises(SchemaError, match="is a copy or was moved"):
        await register_installation(database, "other")
    await move_installation(database)
    assert await register_installation(database, "other") != "other"
    await database.close()


async def test_a_moved_installation_goes_on_with_its_links(copy: str, sandbox: Sandbox) -> None:
    before = await standing(copy)
    database = await opened(copy)
    await move_installation(database)
    await database.close()
    after = await standing(copy)
    assert after["acts"] == [*(before["acts"] or []), "moved"]
    kept = ("installation", "links", "tokens", "marks", "active", "paused")
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    await work(copy, sandbox)
    assert len(sandbox.ledger.records("customers")) == 2


async def test_a_copy_knows_nothing_of_what_the_original_has_in_zoho(
    copy: str, sandbox: Sandbox
) -> None:
    before = await standing(copy)
    assert (before["links"], before["marks"], before["intents"] > 0) == (2, 1, True)
    assert before["tokens"] == 1
    database = await opened(copy)
    told = await copy_installation(database, "f00dcafe")
    await database.close()
    assert told["links"] == 2
    after = await standing(copy)
    assert after["installation"] == "f00dcafe"
    nothing = ("links", "records", "marks", "tokens", "intents")
    assert {name: after[name] for name in nothing} == dict.fromkeys(nothing, 0)
    assert (after["active"], after["closed"]) == (False, True)
    assert "is a copy" in after["paused"]
    assert after["acts"][-1] == "copied"


async def test_a_copy_writes_nothing_to_zoho_until_somebody_resumes_it(
    copy: str, sandbox: Sandbox
) -> None:
    database = await opened(copy)
    await copy_installation(database, "f00dcafe")
    await database.close()
    asked = len(sandbox.ledger.requests)
    await run_sql(copy, "update zohosync.organizations set active = true returning 1", MARKED)
    await work(copy, sandbox)
    assert len(sandbox.ledger.requests) == asked
    database = await opened(copy)
    await pause_kinds(database, sandbox.organization_id, ["customers"], pause=False, why="mine")
    await database.close()
    await work(copy, sandbox)
    assert (await standing(copy))["links"] == 2
    markers = {row["notes"] for row in sandbox.ledger.records("customers")}
    assert {"zs:f00dcafe:1", "zs:f00dcafe:2"} < markers


async def test_neither_is_said_of_a_database_that_stayed_where_it_was(
    embedded_cluster: Cluster, original: str
) -> None:
    url = embedded_cluster.postgres.url(original)
    before = await standing(url)
    database = await opened(url)
    with pytest.raises(SchemaError, match="nothing for --moved to do"):
        await move_installation(database)
    with pytest.raises(SchemaError, match="nothing for --copied to do"):
        await copy_installation(database, "f00dcafe")
    await database.close()
    assert await standing(url) == before


TOML = '[organization]\nid = "10001"\n'


def migrated(
    folder: Path, url: str, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch, *options: str,
) -> tuple[int, dict[str, object]]:  # fmt: skip
    """The verb, in this process: its exit code and its object."""
    (folder / "zohosync.toml").write_text(TOML, encoding="utf-8")
    monkeypatch.setenv("ZOHOSYNC_DATABASE_URL", url)
    monkeypatch.setenv("ZOHOSYNC_API_URL", "http://127.0.0.1:1")
    with pytest.raises(SystemExit) as ended:
        main(["migrate", "--project", str(folder), "--json", *options])
    said = capsys.readouterr().out.splitlines()[-1]
    assert isinstance(ended.value.code, int)
    return ended.value.code, simplejson.loads(said)


def test_the_verb_migrate_says_what_became_of_the_installation(
    copy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*options: str) -> tuple[int, dict[str, object]]:
        return migrated(tmp_path, copy, capsys, monkeypatch, *options)

    code, said = run("--moved", "--copied")
    assert (code, "the opposite" in str(said["error"])) == (2, True)
    code, said = run()
    assert (code, "migrate --moved" in str(said["error"])) == (1, True)
    code, said = run("--copied")
    assert (code, simplejson.loads(simplejson.dumps(said["copied"]))["links"]) == (0, 2)
    code, said = run("--copied")
    assert (code, "nothing for --copied" in str(said["error"])) == (1, True)
    code, said = run()
    assert (code, said["organization"]) == (0, "10001")


async def test_every_start_of_a_fresh_database_names_one_installation(database: Database) -> None:
    names = {await register_installation(database, name) for name in ("a", "b", "a")}
    assert len(names) == 1
