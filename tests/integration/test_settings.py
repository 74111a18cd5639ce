"""Where each setting comes from, which one wins, and what is refused with its place."""

import os
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from zohosync.core.governor import PLANS
from zohosync.core.guide import MEANINGS
from zohosync.core.kinds import MAPPED
from zohosync.errors import SettingsError
from zohosync.settings import DATA_CENTERS, SECRETS_FILE, Settings, load
from zohosync.wiring import watches_of
from zohosync.zoho import wire

STARTER = Path(str(files("zohosync").joinpath("templates")))


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("ZOHOSYNC_")]:  # noqa: TID251
        monkeypatch.delenv(name)


def project(folder: Path, text: str = "", **mappings: str) -> Path:
    (folder / "zohosync.toml").write_text(text, encoding="utf-8")
    (folder / "mapping").mkdir(exist_ok=True)
    for kind, select in mappings.items():
        (folder / "mapping" / f"{kind}.sql").write_text(select, encoding="utf-8")
    return folder


def secrets(folder: Path, text: str, mode: int = 0o600) -> None:
    file = folder / SECRETS_FILE
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, encoding="utf-8")
    file.chmod(mode)


def source_of(settings: Settings, name: str) -> str:
    return next(origin.source for origin in settings.origins if origin.name == name)


def refused(folder: Path, text: str, flags: Mapping[str, Any] | None = None) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        load(project(folder, text), flags=flags)
    return caught.value


def test_the_starter_is_read_and_every_kind_of_it_mapped() -> None:
    settings = load(STARTER)
    assert tuple(settings.kinds) == MAPPED
    assert settings.limits == PLANS["standard"]
    assert settings.embedded
    assert settings.mode == "test"
    assert len(settings.watches) == 11


def test_the_data_centres_are_the_ones_that_the_client_knows() -> None:
    assert set(DATA_CENTERS) == set(wire.DATA_CENTERS)


def test_a_flag_beats_the_environment_beats_the_secrets_beats_the_file_beats_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, variable = "zoho.client_id", "ZOHOSYNC_CLIENT_ID"
    project(tmp_path)
    assert load(tmp_path).zoho.client_id is None
    assert source_of(load(tmp_path), name) == "default"
    project(tmp_path, '[zoho]\nclient_id = "filed"\n')
    assert load(tmp_path).zoho.client_id == "filed"
    assert source_of(load(tmp_path), name) == "zohosync.toml line 2"
    secrets(tmp_path, '[zoho]\nclient_id = "kept"\n')
    assert load(tmp_path).zoho.client_id == "kept"
    assert source_of(load(tmp_path), name) == SECRETS_FILE
    monkeypatch.setenv(variable, "told")
    assert load(tmp_path).zoho.client_id == "told"
    assert source_of(load(tmp_path), name) == f"environment {variable}"
    flagged = load(tmp_path, flags={name: "flagged", "limits.plan": None})
    assert flagged.zoho.client_id == "flagged"
    assert source_of(flagged, name) == "flag"


def test_every_setting_has_an_environment_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOHOSYNC_WORKER_LEASE_S", "20")
    monkeypatch.setenv("ZOHOSYNC_LIMITS_PLAN", "guide")
    settings = load(project(tmp_path))
    assert settings.worker.lease_s == 20.0
    assert settings.limits == PLANS["guide"]


def test_an_empty_variable_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOHOSYNC_LIMITS_PLAN", "")
    assert load(project(tmp_path, '[limits]\nplan = "premium"\n')).limits_plan == "premium"


def test_no_origin_shows_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLIENT_SECRET", "REFRESH_TOKEN", "SECRET_KEY"):
        monkeypatch.setenv(f"ZOHOSYNC_{name}", "s3cr3t")
    monkeypatch.setenv("ZOHOSYNC_DATABASE_URL", "postgresql://me:s3cr3t@db.example/shop")
    settings = load(project(tmp_path))
    assert "s3cr3t" not in repr(settings)
    assert next(o.shown for o in settings.origins if o.name == "database.url") == (
        "postgresql://me@db.example/shop"
    )


def test_a_secrets_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    project(tmp_path)
    secrets(tmp_path, '[zoho]\nrefresh_token = "x"\n', mode=0o640)
    with pytest.raises(SettingsError, match="read by others") as caught:
        load(tmp_path)
    assert "chmod 600" in caught.value.next_step


@pytest.mark.parametrize(
    "text",
    [
        '[zoho]\nrefresh_token = "abc"\n',
        '[database]\nurl = "postgresql://me:pw@db.example/shop"\n',
        '[database]\nurl = "host=db.example password=pw"\n',
    ],
)
def test_a_secret_in_the_committed_file_is_refused_without_showing_it(
    tmp_path: Path, text: str
) -> None:
    error = refused(tmp_path, text)
    assert "must not stand in zohosync.toml" in error.what
    assert "line 2" in error.place
    assert "pw" not in str(error)
    assert "abc" not in str(error)


@pytest.mark.parametrize(
    ("text", "name", "line", "nearest"),
    [
        ("[worker]\nslotz = 3\n", "worker.slotz", 2, "worker.slots"),
        ("[wroker]\nslots = 3\n", "wroker", 1, "worker"),
        ("[kinds.invoice]\n", "kinds.invoice", 1, "kinds.invoices"),
        ("[kinds.customers]\n\nmaping = 'x'\n", "kinds.customers.maping", 3, "mapping"),
    ],
)
def test_an_unknown_key_is_named_with_its_line_and_the_nearest_one(
    tmp_path: Path, text: str, name: str, line: int, nearest: str
) -> None:
    error = refused(tmp_path, text)
    assert error.what == f"There is no setting {name}"
    assert error.place == f"zohosync.toml line {line}"
    assert nearest in error.next_step


def test_malformed_toml_names_the_line(tmp_path: Path) -> None:
    error = refused(tmp_path, '[limits]\nplan = "standard\n')
    assert "is not TOML" in error.what
    assert "line 2" in error.what


@pytest.mark.parametrize(
    "text",
    [
        "[worker]\nslots = 0\n",
        "[worker]\nlease_s = -1\n",
        "[worker]\nmax_retries = 1000000\n",
        "[worker]\nslots = true\n",
        "[worker]\nslots = 1.5\n",
        '[worker]\nretry_base_s = "soon"\n',
        '[limits]\nplan = "custom"\nper_minute = 0\n',
        "[worker]\nheartbeat_s = 7\n",
        "[worker]\nsend_within_s = 9\n",
    ],
)
def test_a_number_that_cannot_be_meant_is_refused_with_its_line(tmp_path: Path, text: str) -> None:
    assert "zohosync.toml line" in refused(tmp_path, text).place


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[organization]\nmode = "prod"\n', "one of test, live, sandbox"),
        ('[organization]\ndata_center = "mars"\n', "data_center"),
        ('[organization]\ntime_zone = "Mars/Base"\n', "no such time zone"),
        ('[organization]\nmode = "sandbox"\n', "API address is Zoho's own"),
        ('[limits]\nplan = "unlimited"\n', "sandbox only"),
        ('[limits]\nplan = "guide"\nper_minute = 5\n', "says nothing while"),
        ('worker = "fast"\n', "write it as [worker]"),
        ("watch = 3\n", "[[watch]]"),
        ('[[watch]]\ntable = "a"\n', "has no kind"),
        ('[[watch]]\ntable = "a"\nkind = "customers"\n', "either `key` or `keys`"),
        ('[kinds.customers]\nmapping = "mapping/gone.sql"\n', "There is no file"),
    ],
)
def test_what_contradicts_itself_is_refused_in_words(tmp_path: Path, text: str, words: str) -> None:
    assert words in str(refused(tmp_path, text))


def test_own_numbers_stand_over_those_of_standard(tmp_path: Path) -> None:
    text = '[limits]\nplan = "custom"\nper_minute = 80\nper_second = 4\n'
    limits = load(project(tmp_path, text)).limits
    assert (limits.per_minute, limits.per_second, limits.in_flight) == (80, 4, 5)


def test_an_api_address_on_this_machine_is_the_sandbox_with_its_own_accounts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOHOSYNC_API_URL", "http://127.0.0.1:8470")
    settings = load(project(tmp_path, '[organization]\nmode = "live"\n'))
    assert settings.mode == "sandbox"
    assert settings.zoho.accounts_url == "http://127.0.0.1:8470"
    monkeypatch.setenv("ZOHOSYNC_ACCOUNTS_URL", "https://accounts.zoho.com")
    with pytest.raises(SettingsError, match="the other is not"):
        load(tmp_path)


def test_a_kind_without_a_file_is_not_synced_and_a_stray_file_is_noted(tmp_path: Path) -> None:
    settings = load(project(tmp_path, "[kinds.plans]\n", customers="select 1", invoice="select 1"))
    assert tuple(settings.kinds) == ("customers",)
    assert any("plans are not synced" in note for note in settings.notes)
    assert any("mapping/invoice.sql is no kind's" in note for note in settings.notes)


def test_a_watch_has_the_priority_that_it_says_or_else_its_kind(tmp_path: Path) -> None:
    tables = "".join(
        f'[[watch]]\ntable = "{table}"\nkind = "{kind}"\nkey = "id"\n{said}'
        for table, kind, said in (
            ("bills", "invoices", ""), ("lines", "invoices", "priority = 1\n"),
            ("people", "customers", ""),
        )
    )  # fmt: skip
    text = f"[kinds.invoices]\npriority = 10\n{tables}"
    settings = load(project(tmp_path, text, customers="select 1", invoices="select 1"))
    assert [watch.priority for watch in watches_of(settings)] == [10, 1, None]


def test_a_misspelled_variable_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOHOSYNC_REFRESH_TOKN", "x")
    notes = load(project(tmp_path)).notes
    assert notes == ("ZOHOSYNC_REFRESH_TOKN is not read: did you mean ZOHOSYNC_REFRESH_TOKEN?",)


def test_a_folder_without_a_project_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"There is no zohosync\.toml here") as caught:
        load(tmp_path)
    assert "zohosync init" in caught.value.next_step


def test_what_is_done_when_a_row_is_gone_and_the_numbers_of_the_brake_are_read(
    tmp_path: Path,
) -> None:
    text = (
        '[kinds.customers]\nwhen_gone = "inactivate"\n[brake]\nendings = 3\nupdates = 7\n'
        '[sweep]\nat = "23:05"\n'
    )
    settings = load(project(tmp_path, text, customers="select 1", plans="select 1"))
    assert settings.kinds["customers"].when_gone == "inactivate"
    assert settings.kinds["plans"].when_gone is None
    assert (settings.brake.endings, settings.brake.updates) == (3, 7)
    assert settings.sweep_at == "23:05"


def test_by_default_nothing_is_done_and_the_brake_holds(tmp_path: Path) -> None:
    settings = load(STARTER)
    assert {kind.when_gone for kind in settings.kinds.values()} == {None}
    assert (settings.brake.endings, settings.brake.updates) == (20, 100)
    assert settings.sweep_at == "02:30"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('[kinds.customers]\nwhen_gone = "cancel"\n', ("'cancel'", "inactivate")),
        ('[kinds.customers]\nwhen_gone = "delete"\n', ("'delete'", "inactivate")),
        ('[kinds.invoices]\nwhen_gone = "inactivate"\n', ("'inactivate'", "void")),
        ('[kinds.subscriptions]\nwhen_gone = "void"\n', ("'void'", "cancel")),
        ('[kinds.payments]\nwhen_gone = "void"\n', ("'void'", "payments")),
        ('[sweep]\nat = "25:00"\n', ("'25:00'", "02:30")),
        ("[brake]\nendings = -1\n", ("brake.endings", "whole number")),
    ],
)
def test_a_wrong_word_for_it_is_named(tmp_path: Path, text: str, names: tuple[str, str]) -> None:
    error = refused(tmp_path, text)
    assert all(name in str(error) for name in names), str(error)
    assert "line 2" in str(error)


def in_guide(settings: Settings) -> dict[str, str]:
    origins = {origin.name: origin for origin in settings.origins}
    return {n.partition(".")[2]: o.shown for n, o in origins.items() if n.startswith("guide.")}


def test_the_plan_guide_holds_exactly_the_guides_values(tmp_path: Path) -> None:
    settings = load(project(tmp_path, '[limits]\nplan = "guide"\n'))
    expected = {name: str(meaning.value) for name, meaning in MEANINGS.items()}
    sizes = "customers 5, subscriptions 5, invoices 10, payments 10"
    assert in_guide(settings) == {**expected, "batch_sizes": sizes}
    assert source_of(settings, "guide.request_delay") == "limits.gap_s: plan guide"


def test_what_the_guide_says_holds_in_the_setting_that_means_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = """
[limits]
plan = "guide"
[guide]
request_delay = 200
batch_delay = 4000
max_requests_per_minute = 90
batch_sizes = { customers = 3, payments = 6 }
max_retries = 4
retry_base_delay = 2500
rate_limit_retry_delay = 900000
token_cache_ttl = 1800000
org_data_cache_ttl = 7200000
sync_status_cache_ttl = 15000
metrics_calculation_interval = 43200000
health_check_interval = 60000
alert_check_interval = 120000
batch_update_interval = 60000
"""
    monkeypatch.setenv("ZOHOSYNC_GUIDE_SYNC_DEBOUNCE_MS", "60000")
    settings = load(project(tmp_path, text))
    limits, work = settings.limits, settings.worker
    assert (limits.gap_s, limits.per_minute, limits.block_s) == (0.2, 90, 900.0)
    assert limits.pace.pause_s == 4.0
    assert limits.pace.sizes == {"customers": 3, "subscriptions": 5, "invoices": 10, "payments": 6}
    assert (work.max_retries, work.retry_base_s, work.debounce_s) == (4, 2.5, 60.0)
    caches, upkeep = settings.caches, settings.upkeep
    assert (caches.token_ttl_s, caches.org_data_ttl_s, caches.sync_status_ttl_s) == (1800, 7200, 15)
    assert (upkeep.metrics_every_s, upkeep.health_every_s, upkeep.alerts_every_s) == (
        43_200, 60, 120,
    )  # fmt: skip
    assert source_of(settings, "limits.gap_s") == "guide.request_delay, zohosync.toml line 5"
    assert source_of(settings, "guide.request_delay") == "zohosync.toml line 5"
    assert in_guide(settings)["request_delay"] == "200"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "[worker]\ndebounce_s = 60\n[guide]\nsync_debounce_ms = 300000\n",
            ("guide.sync_debounce_ms", "worker.debounce_s", "line 2", "line 4"),
        ),
        (
            "[guide]\nsync_debounce_ms = 300000\nbatch_update_interval = 60000\n",
            ("guide.batch_update_interval", "worker.debounce_s", "guide.sync_debounce_ms"),
        ),
        (
            "[pace]\nsize_customers = 4\n[guide]\nbatch_sizes = { customers = 5 }\n",
            ("guide.batch_sizes", "pace.size_customers"),
        ),
        ("[guide]\nmax_requests_per_minute = 120\n", ("says nothing while", "guide.max_requests")),
        ("[guide]\nrequest_delay = 1500\n", ("guide.request_delay", "limits.gap_s", "0 to 1")),
        ("[guide]\ntoken_cache_ttl = 1000\n", ("guide.token_cache_ttl", "cache.token_ttl_s")),
        ("[guide]\nbatch_sizes = { plans = 5 }\n", ("guide.batch_sizes", "plans")),
        ("[guide]\nrequest_dely = 5\n", ("did you mean guide.request_delay",)),
    ],
)
def test_a_number_said_twice_or_not_meant_is_refused_with_both_names(
    tmp_path: Path, text: str, words: tuple[str, ...]
) -> None:
    said = str(refused(tmp_path, text))
    assert all(word in said for word in words), said


def test_the_same_thing_said_twice_alike_is_no_fault(tmp_path: Path) -> None:
    text = "[worker]\ndebounce_s = 60\n[guide]\nsync_debounce_ms = 60000\n"
    assert load(project(tmp_path, text)).worker.debounce_s == 60.0
