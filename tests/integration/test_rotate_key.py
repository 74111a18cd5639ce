"""A new key for the token: nothing is lost, nobody asks Zoho twice, the file stays protected."""

import asyncio
import json
import stat
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest

from remote_kit import HandClock, RecordingGate
from zohosync.cli.install import rotate_key
from zohosync.cli.screen import Screen
from zohosync.clock import Chance
from zohosync.errors import DatabaseUnavailableError, SettingsError
from zohosync.protected import FILE, write_protected
from zohosync.sandbox import Sandbox, SandboxLimits
from zohosync.settings import Settings, load
from zohosync.store.database import Database
from zohosync.store.tokens import TokenCache
from zohosync.wiring import credentials_of, secret_of
from zohosync.zoho.tokens import Tokens

ACCOUNTS = "http://accounts.test"


@pytest.fixture
def project(tmp_path: Path, database_url: str) -> Path:
    (tmp_path / "zohosync.toml").write_text('[organization]\nid = "10001"\n')
    kept = {
        "zoho.client_id": "1000.CLIENT",
        "zoho.client_secret": "secret",
        "zoho.refresh_token": "1000.refresh",
        "database.url": database_url,
        "alerts.channels": "json://one\nmailto://two",
    }
    write_protected(tmp_path, kept)
    return tmp_path


def tokens_of(settings: Settings, database: Database, sandbox: Sandbox, clock: HandClock) -> Tokens:
    return Tokens(
        credentials_of(settings), cache=TokenCache(database), gate=RecordingGate(clock),
        clock=clock, owner="w", accounts_url=ACCOUNTS,
        secret_key=secret_of(settings.zoho.secret_key) if settings.zoho.secret_key else None,
        transport=httpx2.ASGITransport(sandbox.app),
    )  # fmt: skip


def asked(sandbox: Sandbox) -> int:
    return sum(1 for entry in sandbox.ledger.requests if "oauth" in entry.path)


def rows(url: str, text: str) -> list[Any]:
    with psycopg.connect(url) as link:
        return link.execute(text.encode()).fetchall()


async def rotated(settings: Settings, seed: int) -> int:
    return await asyncio.to_thread(rotate_key, Screen(as_json=True), settings, Chance(seed))


async def test_a_new_key_keeps_the_token_and_old_workers_go_on(
    project: Path, database: Database, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = HandClock()
    sandbox = Sandbox(clock=clock, chance=Chance(1), limits=SandboxLimits.lifted())
    before = load(project)
    old = tokens_of(before, database, sandbox, clock)
    token = await old.token()
    for seed in (7, 8):  # twice: from no key to the first one, and from that to the next
        assert await rotated(load(project), seed) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["token_kept"]
        now = load(project)
        new = tokens_of(now, database, sandbox, clock)
        assert (await new.token()).secret == token.secret
        await new.aclose()
        assert now.zoho.secret_key.reveal() not in str(told)
    assert asked(sandbox) == 1
    ((left,),) = rows(database_url, "select count(*) from zohosync.token_cache")
    assert left == 1
    acts = rows(database_url, "select act, why from zohosync.audit")
    assert acts == [("key rotated", "upkeep --rotate-key")] * 2
    assert (await old.token()) == token  # it has it in its memory
    clock.moment_s += 3_500.0
    for _ in range(3):
        assert (await old.token()).secret != token.secret
    assert asked(sandbox) == 2  # its own, once
    await old.aclose()


async def test_the_file_stays_protected_and_keeps_what_else_it_has(
    project: Path, database: Database
) -> None:
    before = load(project)
    assert await rotated(before, 7) == 0
    after = load(project)
    assert stat.S_IMODE((project / FILE).stat().st_mode) == 0o600
    assert after.zoho.secret_key
    assert not before.zoho.secret_key
    for name in ("client_id", "client_secret", "refresh_token"):
        assert getattr(after.zoho, name) == getattr(before.zoho, name)
    assert (after.alerts, after.database) == (before.alerts, before.database)


async def test_a_key_of_the_environment_is_not_overridden_in_secret(
    project: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOHOSYNC_SECRET_KEY", "of the environment")
    kept = (project / FILE).read_bytes()
    with pytest.raises(SettingsError, match="environment ZOHOSYNC_SECRET_KEY") as refused:
        await rotated(load(project), 7)
    assert "openssl rand" in refused.value.next_step
    assert (project / FILE).read_bytes() == kept


async def test_nothing_is_half_done_without_a_database(project: Path) -> None:
    write_protected(project, {"database.url": "postgresql://nobody@127.0.0.1:1/none"})
    kept = (project / FILE).read_bytes()
    with pytest.raises(DatabaseUnavailableError):
        await rotated(load(project), 7)
    assert (project / FILE).read_bytes() == kept


async def test_a_token_that_no_key_opens_costs_one_new_one_and_no_more(
    project: Path, database: Database, database_url: str
) -> None:
    clock = HandClock()
    sandbox = Sandbox(clock=clock, chance=Chance(1), limits=SandboxLimits.lifted())
    settings = load(project)
    tokens = tokens_of(settings, database, sandbox, clock)
    await tokens.token()
    with psycopg.connect(database_url) as link:
        link.execute("update zohosync.token_cache set access_token = 'gAAAAAnonsense'")
    assert await rotated(settings, 7) == 0
    again = [tokens_of(load(project), database, sandbox, clock) for _ in range(3)]
    for each in again:
        await each.token()
        await each.aclose()
    assert asked(sandbox) == 2
    await tokens.aclose()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda file: file.chmod(0o604), "can be read by others"),
        (lambda file: file.parent.chmod(0o777), "can be written to by others"),
    ],
)
def test_a_file_that_others_could_have_put_there_is_not_read(
    project: Path, spoil: Any, words: str
) -> None:
    spoil(project / FILE)
    with pytest.raises(SettingsError, match=words) as refused:
        load(project)
    assert "chmod" in refused.value.next_step


def test_a_link_is_read_where_its_target_is_protected_and_never_written(
    project: Path, tmp_path: Path
) -> None:
    file, vault = project / FILE, tmp_path / "vault"
    vault.mkdir(mode=0o700)
    target = file.rename(vault / "secrets.toml")
    file.symlink_to(target)
    assert load(project).zoho.client_id == "1000.CLIENT"
    with pytest.raises(SettingsError, match="is a link"):
        write_protected(project, {"zoho.secret_key": "x"})
    target.chmod(0o644)
    with pytest.raises(SettingsError, match="read by others"):
        load(project)


def test_what_is_written_is_read_back_as_it_was(project: Path) -> None:
    value = 'a "quoted" \\ back\tslash\n line é \x7f €'
    write_protected(project, {"zoho.secret_key": value})
    assert load(project).zoho.secret_key.reveal() == value
