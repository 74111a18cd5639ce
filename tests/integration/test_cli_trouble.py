"""Bad input at the command line: one clear line on what, where and what next; no traceback."""

import asyncio
import os
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from acceptance.cli_kit import MAPPING, PEOPLE, TOML, Done, project, sql
from remote_kit import START
from zohosync.cli import main
from zohosync.cli.screen import answering
from zohosync.clock import ScaledClock
from zohosync.errors import DatabaseUnavailableError

Run = Callable[..., Done]
NOBODY = "postgresql://127.0.0.1:1/shop"
REAL = {"ZOHOSYNC_ORGANIZATION_ID": "10234"}
CREDENTIALS = REAL | {
    "ZOHOSYNC_API_URL": "http://127.0.0.1:9",
    "ZOHOSYNC_CLIENT_ID": "1000.x",
    "ZOHOSYNC_CLIENT_SECRET": "x",
    "ZOHOSYNC_REFRESH_TOKEN": "x",
}


@pytest.fixture
def zohosync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """The command in this process (a process of its own for each would take minutes)."""
    for name in [name for name in os.environ if name.startswith("ZOHOSYNC_")]:  # noqa: TID251
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, **environment: str) -> Done:
        with monkeypatch.context() as told:
            for name, value in environment.items():
                told.setenv(name, value)
            with pytest.raises(SystemExit) as left:
                main(list(arguments))
        output, error = capsys.readouterr()
        return Done(int(left.value.code or 0), output, error)

    return run


@pytest.fixture
def shop(empty_database_url: str, tmp_path: Path) -> dict[str, str]:
    """A project over a database with a table; gives the environment."""
    project(tmp_path)
    execute(empty_database_url, PEOPLE)
    return {"ZOHOSYNC_DATABASE_URL": empty_database_url}


def execute(url: str, text: str) -> None:
    asyncio.run(sql(url, text))


def clear(done: Done, code: int, *words: str) -> None:
    """It failed with that code, in one line that holds these words."""
    assert done.code == code, done
    lines = [line for line in done.error.splitlines() if line.startswith("zohosync: ")]
    assert len(lines) == 1, done.error
    assert "Traceback" not in done.error + done.output
    for word in words:
        assert word in lines[0]


@pytest.mark.parametrize(
    "verb", ["status", "check", "migrate", "run", "backfill", "settings", "plan", "report"]
)
def test_a_folder_without_a_project_says_how_to_make_one(zohosync: Run, verb: str) -> None:
    clear(zohosync(verb), 2, "There is no zohosync.toml here", "zohosync init")


@pytest.mark.parametrize(
    ("url", "code", "words"),
    [
        ("mysql://127.0.0.1/shop", 2, "starts with postgresql://"),
        (NOBODY, 1, "No database answers"),
        ("postgresql://me:pa@ss@db/shop", 2, "cannot be read"),
        ("postgresql://nowhere.invalid/shop", 1, "host name is not known"),
    ],
)
def test_a_database_that_is_not_there(
    zohosync: Run, tmp_path: Path, url: str, code: int, words: str
) -> None:
    project(tmp_path)
    done = zohosync("migrate", ZOHOSYNC_DATABASE_URL=url)
    clear(done, code, words)
    assert "pa@ss" not in done.error


def test_a_database_that_refuses_the_name_says_which_part_to_correct(
    zohosync: Run, shop: dict[str, str]
) -> None:
    url = shop["ZOHOSYNC_DATABASE_URL"].replace("/test_", "/nowhere_")
    clear(zohosync("migrate", ZOHOSYNC_DATABASE_URL=url), 1, "no database of that name", "createdb")


def test_an_error_is_told_to_programs_as_well(zohosync: Run, tmp_path: Path) -> None:
    project(tmp_path)
    done = zohosync("migrate", "--json", ZOHOSYNC_DATABASE_URL=NOBODY)
    assert (done.code, done.last["exit"]) == (1, 1)
    assert "No database answers" in done.last["error"]
    assert done.last["next_step"]


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        (TOML + "[limits\n", ("is not TOML", "line")),
        (
            TOML + "[database]\ndirectry = 'x'\n",
            ("database.directry", "database.directory"),
        ),
        (TOML.replace("debounce_s = 0", "slots = -3"), ("worker.slots", "from 1 to 200", "line")),
    ],
)
def test_a_settings_file_that_will_not_do(
    zohosync: Run, tmp_path: Path, toml: str, words: tuple[str, ...]
) -> None:
    project(tmp_path, toml)
    clear(zohosync("settings"), 2, *words)


def test_an_out_of_date_schema_stops_every_verb_that_works(
    zohosync: Run, shop: dict[str, str]
) -> None:
    for verb in ("run", "backfill", "status", "plan", "report"):
        clear(zohosync(verb, **shop, **CREDENTIALS), 1, "no schema of ours yet", "zohosync migrate")


def test_a_newer_schema_is_not_touched(zohosync: Run, shop: dict[str, str]) -> None:
    assert zohosync("migrate", **shop).code == 0
    newer = (
        "insert into zohosync.migrations (version, name, checksum) values (9999, '9999_x.sql', '')"
    )
    execute(shop["ZOHOSYNC_DATABASE_URL"], newer)
    clear(zohosync("status", **shop, **REAL), 1, "newer zohosync", "upgrade")


def test_a_mapping_that_is_no_sql_stops_a_worker_and_check_names_it(
    zohosync: Run, shop: dict[str, str], tmp_path: Path
) -> None:
    assert zohosync("migrate", **shop).code == 0
    project(tmp_path, mapping="selec t 1")
    clear(zohosync("run", **shop, **CREDENTIALS), 1, "does not accept", "mapping/customers.sql")
    checked = zohosync("check", "--json", **shop)
    assert checked.code == 1
    assert [fault["kind"] for fault in checked.last["faults"]] == ["customers"]


def test_a_mapping_that_returns_a_key_twice_is_named_with_the_key(
    zohosync: Run, shop: dict[str, str], tmp_path: Path
) -> None:
    project(tmp_path, mapping=MAPPING + "union all " + MAPPING.rstrip() + " where id = 2")
    checked = zohosync("check", "--json", **shop)
    assert checked.code == 1
    assert [(fault["column"], fault["key"]) for fault in checked.last["faults"]] == [("key", "2")]


def test_what_is_missing_of_the_credentials_is_named(zohosync: Run, shop: dict[str, str]) -> None:
    done = zohosync("run", **shop, **REAL, ZOHOSYNC_CLIENT_ID="1000.x")
    clear(done, 2, "ZOHOSYNC_REFRESH_TOKEN not set", "zohosync login")


def test_without_an_organisation_the_next_step_is_named(
    zohosync: Run, shop: dict[str, str]
) -> None:
    assert zohosync("migrate", **shop).code == 0
    clear(zohosync("status", **shop), 2, "No Zoho organisation is named", "zohosync login")


def test_a_live_organisation_opens_a_kind_only_when_it_was_compared(
    zohosync: Run, shop: dict[str, str]
) -> None:
    live = {**REAL, "ZOHOSYNC_ORGANIZATION_MODE": "live"}
    assert zohosync("migrate", **shop, **live).code == 0
    refused = zohosync("resume", "customers", **shop, **live)
    clear(refused, 2, "live organisation", "zohosync compare customers")
    alone = zohosync("resume", **shop, **live)
    assert (alone.code, "customers" in alone.output) == (0, True), "calls may leave, no write"
    assert "Next: zohosync compare" in alone.output
    begun = "insert into zohosync.comparisons (org_id, kind) select org_id, 'customers'"
    execute(shop["ZOHOSYNC_DATABASE_URL"], f"{begun} from zohosync.organizations")
    clear(zohosync("resume", "customers", **shop, **live), 2, "zohosync compare customers")
    done = "update zohosync.comparisons set finished_at = now()"
    execute(shop["ZOHOSYNC_DATABASE_URL"], done)
    opened = zohosync("resume", "customers", "--json", **shop, **live)
    assert opened.code == 0
    assert "customers" not in opened.last["paused"]
    paused = zohosync("pause", "customers", **shop, **live)
    assert paused.code == 0, "pausing asks nothing"


def test_a_kind_that_is_none_names_the_nearest(zohosync: Run, shop: dict[str, str]) -> None:
    clear(zohosync("backfill", "customer", **shop), 2, "'customer'", "did you mean customers?")
    clear(zohosync("why", "customer", "1", **shop), 2, "did you mean customers?")


def test_what_is_only_looked_up_in_zoho_is_retried_as_why_says(
    zohosync: Run, shop: dict[str, str], empty_database_url: str
) -> None:
    shop = shop | REAL
    assert zohosync("migrate", **shop).code == 0
    assert (
        zohosync("pause", "customers", **shop).code == 0
    )  # the organisation is known from here on
    assert zohosync("resume", "customers", **shop).code == 0
    execute(
        empty_database_url,
        "insert into zohosync.records (org_id, kind, key, status, settled_at, error_class, "
        "error_message) select org_id, 'taxes', 'VAT 15', 'failed', now(), 'network_error', 'gone' "
        "from zohosync.organizations",
    )
    why = zohosync("why", "taxes", "VAT 15", **shop)
    assert "zohosync retry taxes 'VAT 15'" in why.output
    assert "zohosync why taxes 'VAT 15'" in zohosync("status", **shop).output
    assert "1 failed records are tried again" in zohosync(
        "retry", *shlex.split("taxes 'VAT 15'"), **shop
    ).output  # fmt: skip


def test_a_copied_database_is_refused(zohosync: Run, shop: dict[str, str]) -> None:
    assert zohosync("migrate", **shop, **REAL).code == 0
    moved = "update zohosync.installation set database_name = 'original'"
    execute(shop["ZOHOSYNC_DATABASE_URL"], moved)
    clear(zohosync("backfill", "--dry-run", **shop, **REAL), 1, "copy", "original")


def test_a_target_that_holds_files_is_left_alone(zohosync: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    clear(zohosync("init", str(tmp_path)), 2, "something there already", "new or empty")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_init_writes_what_was_chosen(zohosync: Run, tmp_path: Path) -> None:
    made = zohosync("init", "shop", "--plan", "guide", "--data-center", "eu",
                    "--organization", "77", "--json")  # fmt: skip
    assert made.code == 0
    assert "mapping/customers.sql" in made.last["files"]
    shown = zohosync("settings", "--project", "shop", "--json")
    said = {each["name"]: each["value"] for each in shown.last["settings"]}
    assert said["limits.plan"] == "guide"
    assert said["organization.data_center"] == "eu"
    assert said["organization.id"] == "77"


@pytest.mark.parametrize("arguments", [("nothing",), ("logs", "--limit", "0"), ("why", "x")])
def test_a_wrong_command_line_points_at_the_help(zohosync: Run, arguments: tuple[str, ...]) -> None:
    clear(zohosync(*arguments), 2, "--help")


def test_help_names_every_verb_with_its_options_and_exit_codes(zohosync: Run) -> None:
    done = zohosync("--help")
    assert done.code == 0
    for panel in ("try", "set up", "look first", "run", "see", "keep"):
        assert f"\n{panel}:\n" in done.output
    for verb in (
        *("demo", "sandbox", "init", "login", "migrate", "check", "run", "backfill", "retry"),
        *("plan", "pause", "resume", "settle", "status", "why", "logs", "report", "settings"),
    ):
        assert f"\n  {verb} " in done.output
        told = zohosync(verb, "--help").output
        assert "--json" in told
        assert "--project" in told or verb == "init"  # it is told where to make one
        assert "Exit codes:" in told


def test_without_arguments_it_shows_its_help(zohosync: Run) -> None:
    done = zohosync()
    assert done.code == 0
    assert done.output.startswith("Usage:")


async def test_the_last_look_at_a_database_that_stands_still_is_given_up() -> None:
    clock = ScaledClock(origin=START, speed=50.0)
    with pytest.raises(DatabaseUnavailableError, match="does not answer") as error:
        async with answering(clock, "postgresql://shop"):
            await asyncio.Event().wait()
    assert "postgresql://shop" in str(error.value)
    assert "zohosync run" in error.value.next_step
