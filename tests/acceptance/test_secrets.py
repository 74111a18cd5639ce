"""No secret comes out anywhere: canaries are fed through every path, every output is searched."""

import asyncio
import io
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql

from acceptance.cli_kit import MAPPING, PEOPLE, TOML
from zohosync.bootstrap import open_service
from zohosync.cli import VERBS, main
from zohosync.clock import Chance, SystemClock
from zohosync.events import Event
from zohosync.sandbox import GrantCode, Sandbox, SandboxLimits, serving
from zohosync.settings import SECRETS_FILE, Settings, load
from zohosync.wiring import credentials_of
from zohosync.zoho.door import in_process
from zohosync.zoho.tokens import AccessToken, Minted, Secret

pytestmark = pytest.mark.acceptance
CANARIES = {
    "client secret": "canary-client/secret+7f",
    "refresh token": "1000.canaryrefresh.8a2c",
    "access token": "1000.access-",  # how the sandbox begins each
    "grant code": "1000.canarycode.55",
    "new refresh token": "1000.refresh-",
    "database password": "canary:db@pass/word",
    "secret key": "canary secret key 31",
    "channel": "canary-channel-91",
    "heartbeat": "canary-heartbeat-12",
}
CHANNELS = " ".join(
    f"{scheme}://user:{CANARIES['channel']}@127.0.0.1:1/{CANARIES['channel']}"
    for scheme in ("json", "mailto", "nonsense")
)
SPELLINGS = {
    name: {value, quote(value, safe=""), repr(value)[1:-1]} for name, value in CANARIES.items()
}
VERBS_OF: dict[str, list[tuple[str, ...]]] = {
    "migrate": [(), ("--print-role",)],
    "check": [(), ("--production",)],
    "compare": [("--html", "page.html", "--csv", "page.csv", "--out", "links.csv")],
    "plan": [(), ("customers", "1"), ("--csv", "plan.csv"), ("--forecast",)],
    "backfill": [("--dry-run",), ("--no-wait",)],
    "run": [("--until-idle",)],
    "retry": [("customers",)],
    "pause": [("customers",)],
    "resume": [("customers", "--yes")],
    "settle": [()],
    "status": [()],
    "why": [("customers", "1"), ("customers", "none")],
    "logs": [(), ("--calls",)],
    "report": [
        ("--usage",), ("--month", "2026-03"), ("--html", "report.html"),
    ],
    "health": [("--detailed", "--probe")],
    "alerts": [("test",), ("mute", "no_worker"), ()],
    "upkeep": [("--once", "--all"), ("--clear-cache",), ("--rotate-key",), ()],
    "forget": [("customers", "none", "--yes")],
    "settings": [()],
}  # fmt: skip
"""Each verb that opens a project; those of the panel `try` have credentials of their own."""


class Hostile:
    """A Zoho that says back whatever it is told, in every way there is."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.how, self.door, self._sandbox, self.answered = "", "", sandbox, 0

    @property
    def app(self) -> Any:
        return self

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        here = "accounts" if scope.get("path", "").startswith("/oauth") else "api"
        if not self.how or here != self.door:
            await self._sandbox.app(scope, receive, send)
            return
        body = (await receive()).get("body", b"")
        heard = [f"{name.decode()}: {value.decode()}" for name, value in scope["headers"]]
        said = f"you sent {' '.join(heard)} {body.decode()} {scope['query_string'].decode()}"
        status, kind, text = ANSWERS[self.how](said)
        headers = [(b"content-type", kind.encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": text.encode()})
        self.answered += 1


def plain(said: str) -> str:
    return said.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")


ANSWERS: dict[str, Callable[[str], tuple[int, str, str]]] = {
    "rejects": lambda s: (400, "application/json", f'{{"code": 9, "message": "{plain(s)}"}}'),
    "refuses": lambda s: (401, "application/json", f'{{"code": 57, "message": "{plain(s)}"}}'),
    "throttles": lambda s: (429, "application/json", f'{{"code": 1070, "message": "{plain(s)}"}}'),
    "accepts": lambda s: (
        201, "application/json",
        f'{{"code": 0, "customer": {{"customer_id": "77", "notes": "{plain(s)}"}}}}',
    ),
    "page": lambda s: (502, f"text/html; why={s[:900]}", f"<html><h1>Bad gateway</h1>{s}</html>"),
    "no json": lambda s: (200, "application/json", f'{{"code": 0, "said": "{s}'),
    "error": lambda s: (
        200, "application/json", f'{{"error": "{plain(s)}", "error_description": "{plain(s)}"}}',
    ),
    "denied": lambda s: (
        400, "application/json", f'{{"error": "Access Denied", "error_description": "{plain(s)}"}}',
    ),
}  # fmt: skip


@contextmanager
def served(hostile: Hostile) -> Iterator[str]:
    """Serve in a thread of its own, since the command has the main one."""
    told: list[str] = []
    up, down = threading.Event(), threading.Event()

    async def serve() -> None:
        async with serving(hostile) as url:  # type: ignore[arg-type]  # it asks for `app` only
            told.append(url)
            up.set()
            await asyncio.to_thread(down.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert up.wait(30)
        yield told[0]
    finally:
        down.set()
        thread.join(30)


class Watched:
    """Runs the command in this process and searches all that it says."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self._patch = folder, monkeypatch
        self.said = 0

    def __call__(self, verb: str, *arguments: str, text: str = "") -> int:
        """The verb's exit code, with the debugging trace, and with --json."""
        code = 0
        for debug, json in (("1", ()), ("0", ("--json",))):
            self._patch.setenv("ZOHOSYNC_DEBUG", debug)
            code = self._once([verb, *arguments, *json, "--project", str(self.folder)], text)
        return code

    def _once(self, arguments: list[str], text: str) -> int:
        out, err = io.StringIO(), io.StringIO()
        logger = logging.getLogger()
        listening = logging.StreamHandler(err)
        logger.addHandler(listening)
        logger.setLevel(logging.DEBUG)
        with self._patch.context() as patch:
            patch.chdir(self.folder)
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            patch.setattr(sys, "stdin", io.StringIO(text))
            try:
                main(arguments)
                code = 0
            except SystemExit as ended:
                code = ended.code if isinstance(ended.code, int) else 1
        logger.removeHandler(listening)
        logger.setLevel(logging.WARNING)
        logging.getLogger("zohosync").handlers.clear()
        self.search(f"{out.getvalue()}\n{err.getvalue()}", " ".join(arguments))
        self.said += len(out.getvalue()) + len(err.getvalue())
        return code

    def search(self, text: str, where: str) -> None:
        """Fail when a canary stands in it."""
        for name, spellings in SPELLINGS.items():
            for each in spellings:
                at = text.find(each)
                shown = text[max(0, at - 200) : at + 80]
                assert at < 0, f"the {name} came out of {where}: …{shown}…"

    def search_files(self) -> None:
        """All that the verbs wrote, but for the protected file."""
        for file in self.folder.rglob("*"):
            if file.is_file() and file.name != Path(SECRETS_FILE).name:
                self.search(file.read_text(errors="replace"), str(file))

    def search_tables(self, url: str) -> None:
        """Every value of every table of ours."""
        with psycopg.connect(url) as link:
            names = link.execute(
                "select relname from pg_class where relnamespace = 'zohosync'::regnamespace "
                "and relkind in ('r', 'v')"
            ).fetchall()
            for (name,) in names:
                rows = link.execute(
                    sql.SQL("select t::text from {} t").format(sql.Identifier("zohosync", name))
                ).fetchall()
                for (row,) in rows:
                    self.search(row, f"the table {name}")


@pytest.fixture
def place(empty_database_url: str) -> str:
    """The database's address with a password in it, which the test's server does not ask for."""
    password = quote(CANARIES["database password"], safe="")
    return empty_database_url.replace("//postgres@", f"//postgres:{password}@")


@pytest.fixture
def watched(
    tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Watched, Hostile]]:
    for name in [name for name in os.environ if name.startswith("ZOHOSYNC_")]:
        monkeypatch.delenv(name)
    (tmp_path / "mapping").mkdir()
    (tmp_path / "mapping" / "customers.sql").write_text(MAPPING)
    (tmp_path / "zohosync.toml").write_text(TOML.replace('"guide"', '"unlimited"'))
    sandbox = Sandbox(
        clock=SystemClock(), chance=Chance(1), limits=SandboxLimits.lifted(),
        client_secret=CANARIES["client secret"], refresh_token=CANARIES["refresh token"],
        grants=[GrantCode(CANARIES["grant code"])],
    )  # fmt: skip
    hostile = Hostile(sandbox)
    with psycopg.connect(place) as link:
        link.execute(PEOPLE)
    with served(hostile) as url:
        for name, value in {
            "DATABASE_URL": place,
            "API_URL": url,
            "ACCOUNTS_URL": url,
            "ORGANIZATION_ID": sandbox.organization_id,
            "CLIENT_ID": sandbox.client_id,
            "CLIENT_SECRET": sandbox.client_secret,
            "REFRESH_TOKEN": sandbox.refresh_token,
            "SECRET_KEY": CANARIES["secret key"],
            "ALERTS_CHANNELS": CHANNELS.replace("127.0.0.1:1", url.partition("//")[2], 1),
            "ALERTS_HEARTBEAT_URL": f"{url}/{CANARIES['heartbeat']}",
        }.items():
            monkeypatch.setenv(f"ZOHOSYNC_{name}", value)
        yield Watched(tmp_path, monkeypatch), hostile


def test_every_verb_is_watched() -> None:
    verbs = {verb.__name__ for panel, verb in VERBS if panel != "try"}
    assert verbs - set(VERBS_OF) == {"init", "login"}


def test_no_verb_tells_a_secret_nor_keeps_one_in_a_table_or_a_file(
    watched: tuple[Watched, Hostile], place: str
) -> None:
    run, _ = watched
    for verb, ways in VERBS_OF.items():
        for arguments in ways:
            run(verb, *arguments)
    with psycopg.connect(place) as link:
        row = link.execute("select count(*) from zohosync.token_cache").fetchone()
        assert row == (1,)
        row = link.execute("select count(*) from zohosync.records where zoho_id > ''").fetchone()
        assert row == (5,)
    run.search_tables(place)
    run.search_files()
    assert run.said > 10_000


WAYS = [("api", how) for how in ANSWERS] + [
    ("accounts", how) for how in ("page", "no json", "error", "denied", "refuses")
]


async def met(hostile: Hostile, settings: Settings, events: list[Event]) -> None:
    """Let a worker try a customer until Zoho has answered once, in the way that is set."""
    stop = asyncio.Event()

    def tell(event: Event) -> None:
        events.append(event)
        if hostile.answered:
            stop.set()

    async with (
        open_service(
            settings, clock=SystemClock(), chance=Chance(2), tell=tell,
            transport=in_process(hostile),
        ) as house,
        asyncio.timeout(30),
    ):  # fmt: skip
        await house.service.run(stop)


RESET = """
truncate zohosync.records, zohosync.token_cache, zohosync.marks, zohosync.api_calls;
update zohosync.organizations set paused = null, closed_until = null, closed_reason = null,
  mints_closed_until = null, overloads = 0, paused_kinds = '{}';
insert into zohosync.marks (kind, key, op, priority) values ('customers', '1', 'I', 5);
"""


def test_what_a_hostile_zoho_says_back_is_not_repeated(
    watched: tuple[Watched, Hostile], place: str
) -> None:
    run, hostile = watched
    run._once(["migrate", "--project", str(run.folder)], "")
    for door, how in WAYS:
        hostile.door, hostile.how, hostile.answered = door, how, 0
        with psycopg.connect(place) as link:
            link.execute(RESET)
        events: list[Event] = []
        asyncio.run(met(hostile, load(run.folder), events))
        run.search(repr(events), f"the events of {door} {how}")
        run.search_tables(place)
        for verb in ("why customers 1", "status"):
            run._once([*verb.split(), "--project", str(run.folder)], "")
    for verb in ("logs", "logs --calls", "settle"):
        run._once([*verb.split(), "--project", str(run.folder)], "")


def test_a_login_tells_no_secret_whatever_comes_back(watched: tuple[Watched, Hostile]) -> None:
    run, hostile = watched
    said = f"{run.folder}\n{CANARIES['client secret']}\n{CANARIES['grant code']}\n"
    for how in ("page", "no json", "error", "denied", "refuses"):
        hostile.door, hostile.how = "accounts", how
        assert run._once(["login", "--project", str(run.folder)], said) == 1
    hostile.how = ""
    run("login", text=said.replace(str(run.folder), "1000.CLIENT"))
    run.search_files()


UNUSABLE = [
    ("DATABASE_URL", "postgresql://me:canary:db@pass/word@127.0.0.1:1/x"),
    ("DATABASE_URL", "postgresql://me:canary%3Adb%40pass%2Fword@127.0.0.1:1/x"),
    ("DATABASE_URL", "postgresql://me:canary%3Adb%40pass%2Fword@127.0.0.1:port/x"),
    ("DATABASE_URL", "host=127.0.0.1 port=1 password='canary:db@pass/word'"),
    ("DATABASE_URL", "mysql://me:canary:db@pass/word@127.0.0.1/x"),
    ("API_URL", "https://me:canary%3Adb%40pass%2Fword@api.example"),
    ("SECRET_KEY", "\u00fc canary secret key 31"),
    ("CLIENT_SECRET", "canary-client/secret+7f\nInjected: 1"),
]
UNREADABLE = [
    'client_secret = "canary-client/secret+7f',
    'client_secret = "canary-client/secret+7f"\nnonsense = 1',
    "canary-client/secret+7f",
    'client_secret = "\\ canary-client/secret+7f"',
    'client_secret = ["canary-client/secret+7f"]',
    'client_secret = {a = "canary-client/secret+7f"}',
]


def test_a_setting_that_cannot_be_used_is_not_quoted(
    watched: tuple[Watched, Hostile], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = watched
    for name, value in UNUSABLE:
        with monkeypatch.context() as patch:
            patch.setenv(f"ZOHOSYNC_{name}", value)
            for verb in ("check", "settings", "status"):
                run._once([verb, "--project", str(run.folder)], "")


def test_a_file_that_cannot_be_read_is_not_quoted(
    watched: tuple[Watched, Hostile], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = watched
    monkeypatch.delenv("ZOHOSYNC_CLIENT_SECRET")
    for name in ("zohosync.toml", SECRETS_FILE):
        file = run.folder / name
        file.parent.mkdir(exist_ok=True, mode=0o700)
        file.touch(mode=0o600)
        kept = file.read_text()
        for text in UNREADABLE:
            file.write_text(f"[zoho]\n{text}\n")
            assert run._once(["settings", "--project", str(run.folder)], "") == 2, text
        file.write_text(kept)


def test_nothing_shows_a_secret_when_it_is_printed(watched: tuple[Watched, Hostile]) -> None:
    run, _ = watched
    settings = load(run.folder)
    token = Secret("1000.access-1")
    printed = [
        settings, credentials_of(settings), AccessToken(token, "x"),
        Minted(token, None, 1.0, Secret("1000.refresh-1")), settings.zoho, settings.alerts,
        settings.database,
    ]  # fmt: skip
    run.search(f"{printed} {[str(each) for each in printed]}", "a repr")
