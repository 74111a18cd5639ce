"""`zohosync health` and a worker's doors: every state is said, with its exit code and status."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from acceptance.cli_kit import project, sql
from integration.test_cli_trouble import (
    CREDENTIALS,
    NOBODY,
    Run,
    clear,
    execute,
    shop,  # noqa: F401 - a fixture
    zohosync,  # noqa: F401 - a fixture
)
from zohosync.bootstrap import open_project
from zohosync.checkup import probe_zoho
from zohosync.clock import Chance, SystemClock
from zohosync.dashboard.doors import listen, pages_of, serving
from zohosync.events import Event, Noted
from zohosync.jobs import besides_of, jobs_of
from zohosync.sandbox import Sandbox, SandboxLimits
from zohosync.sandbox import serving as sandbox_serving
from zohosync.settings import Settings, load
from zohosync.store.health import Vitals
from zohosync.store.organizations import Presence

TABLE = "create table public.people (id int primary key, name text, email text)"
ORG = CREDENTIALS["ZOHOSYNC_ORGANIZATION_ID"]


def test_without_a_database_it_is_unhealthy_and_says_what_to_start(
    zohosync: Run,  # noqa: F811
    tmp_path: Path,
) -> None:
    project(tmp_path)
    done = zohosync("health", "--json", ZOHOSYNC_DATABASE_URL=NOBODY)
    assert (done.code, done.last["state"]) == (2, "unhealthy")
    (check,) = done.last["checks"]
    assert (check["name"], check["verdict"]) == ("database", "fail")
    assert "No database answers" in check["words"]
    assert check["mend"]


def test_from_an_empty_database_on_each_step_is_named_until_all_is_well(
    zohosync: Run,  # noqa: F811
    shop: dict[str, str],  # noqa: F811
) -> None:
    url = shop["ZOHOSYNC_DATABASE_URL"]
    done = zohosync("health", **shop)
    assert (done.code, "schema" in done.output) == (2, True)
    assert done.output.splitlines()[-1] == "Next: run `zohosync migrate`"
    assert zohosync("migrate", **shop).code == 0
    done = zohosync("health", **shop)
    assert (done.code, done.output.splitlines()[-1]) == (2, "Next: zohosync login")
    assert "no Zoho organisation is named" in done.output
    named = {**shop, "ZOHOSYNC_ORGANIZATION_ID": ORG}
    assert zohosync("migrate", **named).code == 0
    done = zohosync("health", **named)
    assert (done.code, "credentials are not complete" in done.output) == (2, True)
    known = {**shop, **CREDENTIALS}
    execute(url, "update zohosync.organizations set mode = 'sandbox', paused_kinds = '{}'")
    done = zohosync("health", **known)
    assert (done.code, done.output.splitlines()[-1]) == (1, "Next: zohosync run")
    assert "no worker is alive; nothing waits" in done.output
    execute(url, "insert into zohosync.workers (worker, org_id, host, pid, version) "
            f"values ('w', '{ORG}', 'h', 1, '0.1.0')")  # fmt: skip
    done = zohosync("health", "--json", **known)
    assert (done.code, done.last["state"]) == (0, "healthy"), done
    assert done.last["kinds"]["customers"]["total"] == 0
    assert "all 10 checks passed" in done.error
    execute(url, "insert into zohosync.records (org_id, kind, key, status, zoho_id, due_at) values "
            f"('{ORG}', 'customers', '1', 'synced', 'z1', null), "
            f"('{ORG}', 'customers', '2', 'pending', null, zohosync.current_time() - "
            "interval '2 hours')")  # fmt: skip
    done = zohosync("health", "--detailed", **known)
    assert done.code == 2, done
    assert "FAIL movement" in done.output
    assert "ok   database" in done.output
    assert "2.0 hours ago" in done.output
    assert "oldest_due_s 72" in done.output
    assert "customers" in done.output


def test_an_organisation_that_is_not_registered_is_said(
    zohosync: Run,  # noqa: F811
    shop: dict[str, str],  # noqa: F811
) -> None:
    assert zohosync("migrate", **shop).code == 0
    done = zohosync("health", **shop, **CREDENTIALS)
    assert (done.code, "is not known in this database" in done.output) == (2, True)
    assert zohosync("health", "--probe", **shop, **CREDENTIALS).code == 2


def test_a_port_that_is_no_port_or_is_in_use_is_one_clear_line_before_any_work(
    zohosync: Run,  # noqa: F811
    shop: dict[str, str],  # noqa: F811
) -> None:
    known = {**shop, **CREDENTIALS}
    for wrong in ("x", "99999", "a b:80", "::1:80"):
        clear(zohosync("run", "--http", wrong, **known), 2, "worker.http is", wrong)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        clear(zohosync("run", "--http", port, **known), 2, f"127.0.0.1:{port}", "in use", "another")


@dataclass(slots=True)
class Served:
    """A project's doors, and what one would ask them."""

    client: httpx2.AsyncClient
    presence: Presence
    stop: asyncio.Event

    async def get(self, path: str) -> tuple[int, Any]:
        reply = await self.client.get(path)
        return reply.status_code, reply.json()


@asynccontextmanager
async def served(folder: Path, url: str, patch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    async def text() -> str:
        return "zohosync_up 1\n"

    async def fails() -> str:
        raise ValueError("secret")

    settings = project_settings(folder, url, patch)
    async with open_project(settings, chance=Chance(3)) as opened:
        stop = asyncio.Event()
        pages = pages_of(
            opened, stop, clock=SystemClock(), texts={"/metrics": text, "/broken": fails}
        )
        presence = Presence(
            opened.database, worker=opened.worker, org_id=opened.org_id, host="h", pid=1,
            version="0",
        )  # fmt: skip
        patch.setattr("zohosync.dashboard.doors.REUSE_S", 0.0)
        listener = listen("127.0.0.1:0")
        async with (
            serving(listener, pages, clock=SystemClock()) as address,
            httpx2.AsyncClient(base_url=address) as client,
        ):
            yield Served(client, presence, stop)


def project_settings(folder: Path, url: str, patch: pytest.MonkeyPatch) -> Settings:
    project(folder)
    for name, value in {"ZOHOSYNC_DATABASE_URL": url, **CREDENTIALS}.items():
        patch.setenv(name, value)
    return load(folder)


async def test_the_doors_say_whether_the_worker_lives_and_may_work(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sql(database_url, TABLE)
    async with served(tmp_path, database_url, monkeypatch) as here:
        status, told = await here.get("/healthz")
        assert (status, told["alive"], told["heartbeat_s"]) == (200, True, None)  # it starts
        await here.presence.beat()
        status, told = await here.get("/healthz")
        assert (status, told["alive"], told["database"]) == (200, True, "there")
        await sql(database_url, "update zohosync.workers set heartbeat_at = heartbeat_at - "
                  "interval '1 minute'")  # fmt: skip
        assert (await here.get("/healthz"))[0] == 503
        assert await here.get("/readyz") == (
            200, {"ready": True, "organisation": f"{ORG} (sandbox) is open"},
        )  # fmt: skip
        for change, words in (
            ("closed_until = 'tomorrow', closed_reason = '429'", "429"),
            ("closed_until = null, paused = 'refused'", "refused"),
            ("paused = null, overloads = 5", "down"),
        ):  # fmt: skip
            await sql(database_url, f"update zohosync.organizations set {change}")
            status, told = await here.get("/readyz")
            assert (status, told["what"], words in told["why"]) == (503, "organisation", True)
        await sql(database_url, "update zohosync.organizations set overloads = 0")
        assert (await here.get("/readyz"))[0] == 200
        await sql(database_url, "delete from zohosync.migrations where version = 12")
        assert (await here.get("/readyz"))[1]["what"] == "schema"
        metrics = await here.client.get("/metrics")
        assert (metrics.text, metrics.headers["content-type"][:10]) == (
            "zohosync_up 1\n", "text/plain",
        )  # fmt: skip
        status, told = await here.get("/broken")
        assert (status, told) == (500, {"error": "a bug: ValueError"})
        assert (await here.client.get("/etc/passwd")).status_code == 404
        assert (await here.client.post("/healthz")).status_code == 405
        here.stop.set()
        assert (await here.get("/readyz"))[1]["what"] == "worker"


async def test_a_database_that_is_away_is_no_reason_to_kill_the_worker(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sql(database_url, TABLE)
    async with served(tmp_path, database_url, monkeypatch) as here:
        await here.presence.beat()
        name = database_url.partition("?")[0].rpartition("/")[2]
        around = database_url.replace(f"/{name}", "/postgres")
        await sql(around, f"alter database {name} with allow_connections false")
        await sql(around, "select pg_terminate_backend(pid) from pg_stat_activity "
                  f"where datname = '{name}'")  # fmt: skip
        status, told = await here.get("/healthz")
        assert (status, told["alive"], told["database"]) == (200, True, "away")
        status, told = await here.get("/readyz")
        assert (status, told["ready"], told["what"]) == (503, False, "database")
        assert name not in str(told)  # a page tells nobody where the database is
        await sql(around, f"alter database {name} with allow_connections true")
        assert (await here.get("/readyz"))[0] == 200


async def test_the_jobs_tell_what_changed_and_mend_what_is_wrong(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = project_settings(tmp_path, database_url, monkeypatch)
    await sql(database_url, TABLE)
    async with open_project(settings, chance=Chance(3)) as opened:
        found = jobs_of(
            settings, opened.database, ORG, clock=SystemClock(), tell=lambda _: None
        )  # fmt: skip
        jobs = {job.name: job for job in found}
        assert jobs["health"].every_s == jobs["counts"].every_s == settings.upkeep.health_every_s
        first = await jobs["health"].run()
        assert first is not None
        assert first.startswith("health: degraded, it was not judged yet (workers: no worker")
        assert await jobs["health"].run() is None
        await sql(database_url, "insert into zohosync.workers (worker, org_id, host, pid, version) "
                  f"values ('w', '{ORG}', 'h', 1, '0.1.0')")  # fmt: skip
        assert await jobs["health"].run() == "health: healthy, it was degraded"
        noted = await Vitals(opened.database, ORG).noted()
        assert noted is not None
        assert (noted["state"], noted["checks"]) == ("healthy", [])
        assert await jobs["counts"].run() is None
        await sql(database_url, "insert into zohosync.record_counts values "
                  f"('{ORG}', 'customers', 'synced', true, false, 7)")  # fmt: skip
        assert await jobs["counts"].run() == (
            "counts were wrong, and are mended: customers synced 7 -> 0"
        )
        assert await jobs["counts"].run() is None


async def test_what_breaks_the_alerts_does_not_stop_the_worker(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = project_settings(tmp_path, database_url, monkeypatch)
    await sql(database_url, TABLE)
    told: list[Event] = []
    async with open_project(settings, chance=Chance(3)) as opened:
        await sql(database_url, "update zohosync.organizations set time_zone = 'ABC+3'")
        look = besides_of(settings, opened.database, ORG, clock=SystemClock(), tell=told.append)
        await look()
    words = [event.message for event in told if isinstance(event, Noted)]
    assert words == ["alerts: a bug: ZoneInfoNotFoundError; it is tried again by itself"]


async def test_a_probe_asks_zoho_once_and_says_what_it_answers(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sql(database_url, TABLE)
    clock = SystemClock()
    sandbox = Sandbox(clock=clock, chance=Chance(7), limits=SandboxLimits.lifted())
    async with sandbox_serving(sandbox) as address:
        for name, value in {
            "API_URL": address, "CLIENT_ID": sandbox.client_id, "REFRESH_TOKEN":
            sandbox.refresh_token, "CLIENT_SECRET": sandbox.client_secret,
            "ORGANIZATION_ID": sandbox.organization_id, "DATABASE_URL": database_url,
        }.items():  # fmt: skip
            monkeypatch.setenv(f"ZOHOSYNC_{name}", value)
        project(tmp_path)
        settings = load(tmp_path)
        async with open_project(settings, chance=Chance(3)) as opened:
            check = await probe_zoho(
                settings, opened.database, opened.org_id, clock=clock, chance=Chance(4)
            )
            assert (check.verdict, check.words) == ("pass", "Zoho answers")
            assert len(sandbox.ledger.calls()) == 1
            sandbox.tokens.revoke()
            check = await probe_zoho(
                settings, opened.database, opened.org_id, clock=clock, chance=Chance(4)
            )
            assert (check.verdict, check.mend) == ("fail", "zohosync login")
            # Whoever looks may have other credentials than the workers: nobody is held up.
            rows = await opened.database.fetch("read_organization", org_id=opened.org_id)
            assert [row["paused"] for row in rows] == [None]
