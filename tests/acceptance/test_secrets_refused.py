"""No secret comes out where a verb cannot do its work, nor from a worker's pages."""

import asyncio
from functools import partial

import httpx2
import pytest

from acceptance.test_secrets import (
    Hostile,
    Watched,
    place,  # noqa: F401 - a fixture
    watched,  # noqa: F401 - a fixture
)
from zohosync.bootstrap import open_project
from zohosync.clock import Chance, SystemClock
from zohosync.dashboard.doors import listen, pages_of, serving
from zohosync.dashboard.exposition import Exposition
from zohosync.settings import Settings, load
from zohosync.store.metrics import Metrics

pytestmark = pytest.mark.acceptance
REFUSALS: list[dict[str, str]] = [
    {"DATABASE_URL": "postgresql://me:canary%3Adb%40pass%2Fword@127.0.0.1:1/x"},
    {"DATABASE_URL": "postgresql://nobody:canary%3Adb%40pass%2Fword@"},
    {"REFRESH_TOKEN": "1000.canaryrefresh.8a2c-refused"},
    {"CLIENT_SECRET": "canary-client/secret+7f refused"},
    {"SECRET_KEY": "canary secret key 31, another"},
    {"ORGANIZATION_ID": "99"},
    {"ALERTS_HEARTBEAT_URL": "http://127.0.0.1:1/canary-heartbeat-12"},
    {"CLIENT_SECRET": "", "REFRESH_TOKEN": ""},
]
"""What keeps a verb from its work: each with another secret to tell."""

LOOKS = ("health --probe", "alerts", "upkeep --once --all", "check --production", "report")


def test_no_verb_tells_a_secret_when_it_cannot_do_its_work(
    watched: tuple[Watched, Hostile],  # noqa: F811
    place: str,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run, _ = watched
    assert run._once(["migrate", "--project", str(run.folder)], "") == 0
    assert run._once(["run", "--until-idle", "--project", str(run.folder)], "") == 0
    monkeypatch.setenv("ZOHOSYNC_DEBUG", "1")
    for values in REFUSALS:
        with monkeypatch.context() as patch:
            for name, value in values.items():
                there = place.partition("@")[2] if value.endswith("@") else ""
                patch.setenv(f"ZOHOSYNC_{name}", value + there)
            away = "DATABASE_URL" in values
            for verb in (*LOOKS, "forget customers 1") if away else LOOKS:
                code = run._once([*verb.split(), "--json", "--project", str(run.folder)], "")
                assert code or not away, f"{verb} did its work although there is no database"
    run.search_tables(place)
    run.search_files()


async def read_pages(settings: Settings) -> list[str]:
    """What a worker serves."""
    async with open_project(settings, chance=Chance(3)) as project:
        exposition, metrics = Exposition(settings.targets), Metrics(project.database, "10001")
        texts = {"/metrics": partial(exposition.text, metrics)}
        pages = pages_of(project, asyncio.Event(), clock=SystemClock(), texts=texts)
        listener = listen("127.0.0.1:0")
        said = []
        async with (
            serving(listener, pages, clock=SystemClock()) as url,
            httpx2.AsyncClient() as client,
        ):
            for path in (*pages, "/nothing"):
                got = await client.get(f"{url}{path}")
                said.append(f"{got.status_code} {got.headers} {got.text}")
    return said


def test_no_page_of_a_worker_tells_a_secret(
    watched: tuple[Watched, Hostile],  # noqa: F811
) -> None:
    run, _ = watched
    assert run._once(["migrate", "--project", str(run.folder)], "") == 0
    assert run._once(["run", "--until-idle", "--project", str(run.folder)], "") == 0
    said = asyncio.run(read_pages(load(run.folder)))
    assert [each[:3] for each in said] == ["200", "200", "200", "404"], said
    run.search("\n".join(said), "a page")
