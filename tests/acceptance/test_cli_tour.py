"""The command as people use it: from an empty folder to records in the pretend Zoho."""

import asyncio
import signal
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from acceptance.cli_kit import MAPPING, PEOPLE, Shell, project, sql
from zohosync.clock import Chance, SystemClock
from zohosync.sandbox import GrantCode, Sandbox, SandboxLimits, serving
from zohosync.settings import SECRETS_FILE
from zohosync.store.database import Database

pytestmark = pytest.mark.acceptance


@asynccontextmanager
async def pretend(**other: object) -> AsyncIterator[tuple[Sandbox, str]]:
    sandbox = Sandbox(clock=SystemClock(), chance=Chance(1), limits=SandboxLimits.lifted(), **other)  # type: ignore[arg-type]
    async with serving(sandbox) as url:
        yield sandbox, url


def customers(sandbox: Sandbox) -> list[str]:
    return sorted(row["display_name"] for row in sandbox.ledger.records("customers"))


async def test_from_an_empty_folder_to_records_in_step(
    empty_database_url: str, tmp_path: Path
) -> None:
    await sql(empty_database_url, PEOPLE)
    folder = tmp_path / "shop"
    shell = Shell(folder, ZOHOSYNC_DATABASE_URL=empty_database_url)
    made = await shell("init", str(folder), "--plan", "premium", cwd=tmp_path, project=False)
    assert made.code == 0
    assert 'plan = "premium"' in (folder / "zohosync.toml").read_text()
    again = await shell("init", str(folder), cwd=tmp_path, project=False)
    assert again.code == 2
    assert "something there already" in again.error
    project(folder)
    async with pretend() as (sandbox, url):
        shell = shell.at(sandbox, url)
        checked = await shell("check", "--json")
        assert (checked.code, checked.last["ok"]) == (0, True)
        assert checked.last["backfill"]["calls"] == 5
        assert any("zohosync migrate" in note for note in checked.last["notes"])
        refused = await shell("run", "--until-idle")
        assert refused.code == 1
        assert "zohosync migrate" in refused.error
        migrated = await shell("migrate")
        assert migrated.code == 0
        assert "watches public.people for customers" in migrated.output
        dry = await shell("backfill", "--dry-run", "--json")
        assert dry.last["kinds"]["customers"] == {"steps": {"create": 5}, "calls": 5}
        assert customers(sandbox) == []
        filled = await shell("backfill", "--json")
        assert (filled.code, filled.last["marked"]) == (0, {"customers": 5})
        assert customers(sandbox) == [f"P {n}" for n in range(1, 6)]
        await sql(empty_database_url, "update public.people set email = null where id = 3")
        assert (await shell("run", "--until-idle")).code == 0
        status = await shell("status", "--json")
        assert status.last["kinds"]["customers"] == {"synced": 4, "failed": 1}
        why = await shell("why", "customers", "3")
        assert why.code == 0
        assert "email is required and is empty" in why.output
        assert "Next: mend the row or the mapping" in why.output
        unknown = await shell("why", "customers", "99")
        assert unknown.code == 1
        assert "no such row" in unknown.output
        calls = await shell("logs", "customers", "1", "--calls", "--json")
        assert [call["method"] for call in calls.last["calls"]] == ["POST"]
        retried = await shell("retry", "customers", "--json")
        assert retried.last["marked"] == 1


async def test_a_paused_kind_rests_and_goes_on_where_it_was(
    empty_database_url: str, tmp_path: Path
) -> None:
    await sql(empty_database_url, PEOPLE)
    project(tmp_path)
    async with pretend() as (sandbox, url):
        shell = Shell(tmp_path, ZOHOSYNC_DATABASE_URL=empty_database_url).at(sandbox, url)
        await shell("migrate")
        assert (await shell("pause", "customers")).code == 0
        rested = await shell("backfill")
        assert rested.code == 0
        assert "Paused: customers" in rested.output
        assert customers(sandbox) == []
        assert (await shell("resume", "customers")).code == 0
        assert (await shell("run", "--until-idle")).code == 0
        assert len(customers(sandbox)) == 5


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
async def test_a_signal_stops_a_worker_gracefully_with_its_own_code(
    empty_database_url: str, tmp_path: Path, sent: signal.Signals, code: int
) -> None:
    await sql(empty_database_url, PEOPLE)
    project(tmp_path)
    async with pretend() as (sandbox, url):
        shell = Shell(tmp_path, ZOHOSYNC_DATABASE_URL=empty_database_url).at(sandbox, url)
        await shell("migrate")
        worker = await shell.start("run", "--json")
        await sql(empty_database_url, "update public.people set name = name || '!'")
        for _ in range(200):
            if len(customers(sandbox)) == 5:
                break
            await asyncio.sleep(0.05)
        worker.send_signal(sent)
        output, error = await asyncio.wait_for(worker.communicate(), 20)
        assert worker.returncode == code, error.decode()
        assert b"Traceback" not in error
        assert b'"attempts": 5' in output.splitlines()[-1]


async def test_a_worker_serves_its_doors_until_it_is_stopped(
    empty_database_url: str, tmp_path: Path
) -> None:
    await sql(empty_database_url, PEOPLE)
    project(tmp_path)
    async with pretend() as (sandbox, url):
        shell = Shell(tmp_path, ZOHOSYNC_DATABASE_URL=empty_database_url).at(sandbox, url)
        await shell("migrate")
        worker = await shell.start("run", "--http", "0")
        assert worker.stdout is not None
        async with asyncio.timeout(60):
            line = ""
            while "Serving /healthz, /readyz, /metrics" not in line:
                line = (await worker.stdout.readline()).decode()
                assert line, await worker.communicate()
        async with httpx2.AsyncClient(base_url=line.split(" at ")[1].strip()) as client:
            alive, ready = await client.get("/healthz"), await client.get("/readyz")
            assert (alive.status_code, alive.json()["alive"]) == (200, True)
            assert (ready.status_code, ready.json()["ready"]) == (200, True)
            figures = await client.get("/metrics")
            assert figures.headers["content-type"].startswith("text/plain")
            assert "\nzohosync_workers 1.0\n" in figures.text
            worker.send_signal(signal.SIGTERM)
            _, error = await asyncio.wait_for(worker.communicate(), 20)
            assert (worker.returncode, b"Traceback" in error) == (0, False), error.decode()
            with pytest.raises(httpx2.ConnectError):
                await client.get("/healthz")


async def test_a_backfill_leaves_the_work_to_a_worker_that_is_alive(
    empty_database_url: str, tmp_path: Path
) -> None:
    await sql(empty_database_url, PEOPLE)
    project(tmp_path)
    async with pretend() as (sandbox, url):
        shell = Shell(tmp_path, ZOHOSYNC_DATABASE_URL=empty_database_url).at(sandbox, url)
        await shell("migrate")
        worker = await shell.start("run")
        for _ in range(200):
            if (await shell("status", "--json")).last["workers"]:
                break
        filled = await shell("backfill", "--json")
        assert (filled.code, filled.last["attempts"]) == (0, 0)
        assert len(customers(sandbox)) == 5
        worker.send_signal(signal.SIGTERM)
        await asyncio.wait_for(worker.communicate(), 20)


async def test_the_sandbox_says_how_to_be_reached_and_stops(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    process = await shell.start("sandbox", "--port", "0", "--json")
    assert process.stdout is not None
    told = shell.read(await asyncio.wait_for(process.stdout.readline(), 20))
    assert told["environment"]["ZOHOSYNC_API_URL"] == told["url"]
    assert told["url"].startswith("http://127.0.0.1:")
    process.send_signal(signal.SIGINT)
    await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 130


async def test_login_keeps_the_secret_where_only_its_owner_can_read_it(tmp_path: Path) -> None:
    project(tmp_path)
    async with pretend(client_secret="hush-hush", grants=(GrantCode("1000.code"),)) as (
        sandbox,
        url,
    ):
        shell = Shell(tmp_path, ZOHOSYNC_API_URL=url, ZOHOSYNC_ACCOUNTS_URL=url)
        answers = f"{sandbox.client_id}\n{sandbox.client_secret}\n1000.code\n"
        done = await shell("login", "--json", text=answers)
        assert done.code == 0, done.error
        assert done.last["organization"] == sandbox.organization_id
        assert sandbox.client_secret not in done.output + done.error
        assert "ZohoSubscriptions.customers.CREATE" in done.error  # people read stderr with --json
        file = tmp_path / SECRETS_FILE
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert sandbox.client_secret in file.read_text()
        shown = await shell("settings", "--json")
        assert f'id = "{sandbox.organization_id}"' in (tmp_path / "zohosync.toml").read_text()
        assert sandbox.client_secret not in shown.output
        used = await shell("login", text=answers)
        assert used.code == 1
        assert "was used, or its minutes are over" in used.error


@pytest.mark.parametrize(
    ("answers", "scopes", "words"),
    [
        ("{id}\n{secret}\n1000.other\n", (), "does not know this code"),
        ("1000.wrong\n{secret}\n1000.code\n", (), "another data centre, or a wrong id"),
        ("{id}\n{secret}\n1000.code\n", ("ZohoSubscriptions.customers.READ",), "The code lacks"),
        ("{id}\n\n", (), "is empty"),
    ],
)
async def test_each_failure_of_login_has_its_own_sentence(
    tmp_path: Path, answers: str, scopes: tuple[str, ...], words: str
) -> None:
    project(tmp_path)
    grant = GrantCode("1000.code", scopes) if scopes else GrantCode("1000.code")
    async with pretend(grants=(grant,)) as (sandbox, url):
        shell = Shell(tmp_path, ZOHOSYNC_API_URL=url, ZOHOSYNC_ACCOUNTS_URL=url)
        text = answers.format(id=sandbox.client_id, secret=sandbox.client_secret)
        done = await shell("login", text=text)
        assert done.code in (1, 2)
        assert words in done.error
        assert not (tmp_path / SECRETS_FILE).exists()


async def test_refused_credentials_stop_the_run_lose_nothing_and_are_said(
    empty_database_url: str, tmp_path: Path
) -> None:
    await sql(empty_database_url, PEOPLE)
    project(tmp_path)
    sandbox = Sandbox(clock=SystemClock(), chance=Chance(1))
    async with serving(sandbox) as url:
        good = Shell(tmp_path, ZOHOSYNC_DATABASE_URL=empty_database_url).at(sandbox, url)
        await good("migrate")
        await good("backfill", "--no-wait")
        sandbox.refresh_token = "1000.revoked"
        bad = Shell(tmp_path, ZOHOSYNC_DATABASE_URL=empty_database_url).at(sandbox, url)
        refused = await bad("run", "--until-idle", "--json")
        assert refused.code == 1
        assert "refuses our credentials" in refused.last["paused"]
        assert "zohosync login" in refused.error
        status = await good("status", "--json")
        assert status.last["kinds"]["customers"] == {"pending": 5}
        assert (await good("resume", "customers")).code == 0
        assert (await good("run", "--until-idle")).code == 0
        assert len(sandbox.ledger.records("customers")) == 5


async def test_an_organisation_that_refused_us_is_opened_without_opening_a_kind(
    empty_database_url: str, tmp_path: Path
) -> None:
    await sql(empty_database_url, PEOPLE)
    project(tmp_path)
    sandbox = Sandbox(clock=SystemClock(), chance=Chance(1))
    async with serving(sandbox) as url:
        good = Shell(tmp_path, ZOHOSYNC_DATABASE_URL=empty_database_url).at(sandbox, url)
        await good("migrate")
        await good("pause", "customers")
        sandbox.refresh_token = "1000.revoked"
        bad = Shell(tmp_path, ZOHOSYNC_DATABASE_URL=empty_database_url).at(sandbox, url)
        refused = await bad("compare")
        assert refused.code == 1
        assert "zohosync login, then zohosync resume" in refused.error
        shut = await good("compare")
        assert (shut.code, "zohosync resume" in shut.error) == (1, True)
        assert "then zohosync resume" in (await good("status")).output
        opened = await good("resume", "--json")
        assert (opened.code, opened.last["paused"]) == (0, ["customers"])
        told = await good("resume")
        assert "paused now: customers" in told.output
        assert "Next: zohosync resume customers" in told.output
        assert (await good("compare", "--json")).code == 0
        assert (await good("resume", "customers")).code == 0
        assert (await good("backfill")).code == 0
        assert len(sandbox.ledger.records("customers")) == 5


async def test_an_interrupted_check_leaves_quietly(empty_database_url: str, tmp_path: Path) -> None:
    await sql(empty_database_url, PEOPLE)
    slow = MAPPING.replace("p.email", "p.email || left(pg_sleep(20)::text, 0) as email")
    shell = Shell(project(tmp_path, mapping=slow), ZOHOSYNC_DATABASE_URL=empty_database_url)
    process = await shell.start("check")
    database = await Database.open(empty_database_url, connections=1)
    busy = "select count(*)::int as n from pg_stat_activity where wait_event = 'PgSleep'"
    for _ in range(400):
        async with database.transaction() as transaction:
            if (await transaction.fetch_sql(busy))[0]["n"]:
                break
        await asyncio.sleep(0.05)
    await database.close()
    process.send_signal(signal.SIGINT)
    _, error = await process.communicate()
    assert process.returncode == 130
    assert b"Traceback" not in error
