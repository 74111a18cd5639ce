"""The verb alerts, as people use it: what stands, whether channels work, mutes, bad input."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from acceptance.cli_kit import Done, project, sql
from alert_kit import BOOK, CANARY, inbox
from zohosync.cli import main

Run = Callable[..., Done]
FAILED = """
insert into zohosync.records (org_id, kind, key, status, error_class, error_field, error_message,
  settled_at) values ('1', 'customers', '17', 'failed', 'validation', 'email', 'email is empty',
  zohosync.current_time())
"""


@pytest.fixture
def zohosync(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:  # fmt: skip
    for name in [name for name in os.environ if name.startswith("ZOHOSYNC_")]:  # noqa: TID251
        monkeypatch.delenv(name)
    project(tmp_path)
    asyncio.run(sql(database_url, BOOK))
    monkeypatch.setenv("ZOHOSYNC_DATABASE_URL", database_url)
    monkeypatch.setenv("ZOHOSYNC_ORGANIZATION_ID", "1")
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, **environment: str) -> Done:
        with monkeypatch.context() as told:
            for name, value in environment.items():
                told.setenv(name, value)
            with pytest.raises(SystemExit) as left:
                main(list(arguments))
        output, error = capsys.readouterr()
        assert CANARY not in output + error
        return Done(int(left.value.code or 0), output, error)

    return run


def test_what_stands_is_listed_with_its_command_and_can_be_muted(
    zohosync: Run, database_url: str
) -> None:
    calm = zohosync("alerts")
    assert (calm.code, "Nothing is wrong." in calm.output) == (0, True)
    asyncio.run(sql(database_url, FAILED))
    listed = zohosync("alerts")
    for words in ("1 customer failed: validation, email (not told yet)", "email is empty",
                  "Next: zohosync why customers 17", "Told to: log"):  # fmt: skip
        assert words in listed.output
    (alert,) = zohosync("alerts", "list", "--json").last["alerts"]
    name = alert["fingerprint"]
    assert name == "failed/customers/validation/-/email"
    muted = zohosync("alerts", "mute", name, "--for", "2h")
    assert (muted.code, f"Nobody hears of {name} until" in muted.output) == (0, True)
    assert "muted until" in zohosync("alerts").output
    assert zohosync("alerts", "unmute", name).code == 0
    assert zohosync("alerts", "--json").last["muted"] == []
    assert zohosync("alerts", "mute", "customers").code == 0
    assert zohosync("alerts", "--json").last["alerts"][0]["muted_until"] is not None


def test_each_channel_is_tested_and_one_that_refuses_is_an_exit_code(zohosync: Run) -> None:
    assert "No channel is set" in zohosync("alerts", "test").output
    with inbox() as good, inbox() as bad:
        bad.status = 403
        channels = f"{good.url}, {bad.url}\nslak://{CANARY}"
        both = zohosync("alerts", "test", ZOHOSYNC_ALERTS_CHANNELS=channels)
        assert both.code == 1
        assert "json://127.0.0.1: sent" in both.output
        assert "json://127.0.0.1 (2): it answered 403" in both.output
        assert "slak://…: it is no address of a channel that is known" in both.output
        assert good.titles == ["a test"]
        done = zohosync("alerts", "test", "--json", ZOHOSYNC_ALERTS_CHANNELS=good.url)
        assert (done.code, done.last["refused"]) == (0, 0)
        assert "Told to: log, json://127.0.0.1" in zohosync(
            "alerts", ZOHOSYNC_ALERTS_CHANNELS=good.url
        ).output  # fmt: skip
        assert zohosync("settings", ZOHOSYNC_ALERTS_CHANNELS=good.url).code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("tset",), "say one of list, test, mute, unmute"),
        (("mute",), "name an alert, a kind or a topic"),
        (("list", "customers"), "takes no 'customers'"),
        (("mute", "custmers"), "did you mean customers?"),
        (("mute", "customers", "--for", "soon"), "a length of time such as 30m"),
        (("unmute", "customers"), "'customers' is not muted"),
    ],
)
def test_what_cannot_be_is_one_clear_line(
    zohosync: Run, arguments: tuple[str, ...], words: str
) -> None:
    done = zohosync("alerts", *arguments)
    assert done.code == 2
    assert done.error.startswith("zohosync: ")
    assert words in done.error


def test_half_of_the_quiet_hours_and_a_channel_in_the_settings_file_are_refused(
    zohosync: Run, tmp_path: Path
) -> None:
    half = zohosync("alerts", ZOHOSYNC_ALERTS_QUIET_FROM="22:00")
    assert (half.code, "set both" in half.error) == (2, True)
    file = tmp_path / "zohosync.toml"
    file.write_text(file.read_text() + f'\n[alerts]\nchannels = "json://u:{CANARY}@h.example"\n')
    told = zohosync("alerts")
    assert (told.code, "must not stand in zohosync.toml" in told.error) == (2, True)
