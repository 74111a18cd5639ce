"""`zohosync plan` and `zohosync report`, over the sample book and over days that were lived."""

import asyncio
import logging
import os
from collections.abc import Callable
from contextlib import aclosing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from acceptance.cli_kit import Done
from zohosync.cli import main
from zohosync.clock import Chance, ScaledClock, SystemClock
from zohosync.core.governor import PLANS, Limits
from zohosync.demo import book as books
from zohosync.engine.passes import looks
from zohosync.events import Event, Noted
from zohosync.sandbox import Sandbox, SandboxLimits
from zohosync.store.database import Database
from zohosync.store.history import History
from zohosync.store.usage import Usage, Warned
from zohosync.testing.world import ZONE, World, WorldSettings, world

Run = Callable[..., Done]
ORG = {"ZOHOSYNC_ORGANIZATION_ID": "10234", "ZOHOSYNC_API_URL": "http://127.0.0.1:9"}
MAPPING = {"customers": "select id as key, name as display_name, email from public.people"}
BILL = {
    "customers": "select 1 as key, 'Ann' as display_name, 'ann@example.com' as email, "
    "'inactive' as state",
}
NUMBERED = {
    "customers": "select n as key, 'P ' || n as display_name, n || '@example.com' as email "
    "from generate_series(1, {}) n"
}
CLOSE = "update zohosync.organizations set closed_until ="
PEOPLE = """
create table public.people (id integer primary key, name text, email text);
insert into public.people select n, 'P ' || n, n || '@example.com' from generate_series(1, 5) n;
"""


@pytest.fixture
def zohosync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """The command in this process, in a folder that `init` filled."""
    for name in [name for name in os.environ if name.startswith("ZOHOSYNC_")]:  # noqa: TID251
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Done:
        with pytest.raises(SystemExit) as left:
            main(list(arguments))
        output, error = capsys.readouterr()
        return Done(int(left.value.code or 0), output, error)

    return run


@pytest.fixture
def book(zohosync: Run, database_url: str, monkeypatch: pytest.MonkeyPatch) -> books.Book:
    """The sample book in the database, and a project with the starter mapping of all kinds."""
    written = books.build(SystemClock().now().astimezone(ZoneInfo(ZONE)).date())
    asyncio.run(install(database_url, written))
    assert zohosync("init", ".", "--plan", "standard").code == 0
    for name, value in {"ZOHOSYNC_DATABASE_URL": database_url, **ORG}.items():
        monkeypatch.setenv(name, value)
    return written


async def install(url: str, book: books.Book) -> None:
    database = await Database.open(url, connections=1)
    async with database.transaction() as transaction:
        await transaction.execute_sql(books.schema())
        for text, rows in books.statements(book):
            for row in rows:
                await transaction.execute_sql(text, row)  # type: ignore[arg-type]
    await database.close()


def test_a_forecast_of_the_sample_book_before_anything_was_sent(
    zohosync: Run, book: books.Book
) -> None:
    dry = zohosync("plan", "--json").last
    again = zohosync("backfill", "--dry-run", "--json").last
    for each in (dry, again):  # the instant of asking; and which rows come first in no order
        each["ends"], each["listing"]["records"] = None, sorted(each["listing"]["records"])
    assert dry == again
    told = zohosync("plan", "--forecast", "--per-day", "100", "--json")
    assert told.code == 0
    said = told.last
    assert (said["calls"], said["kinds"]) == (dry["calls"], dry["kinds"])
    assert said["calls"] == sum(kind["calls"] for kind in said["kinds"].values()) > 1_000
    assert (said["held_by"], said["days"] >= 2) == ("day", True)
    assert datetime.fromisoformat(said["ends_at"]).utcoffset() == timedelta(hours=2)
    lanes = {each["lane"]: each for each in said["lanes"]}
    assert (lanes["bulk"]["calls"], lanes["live"]["meanwhile_a_day"]) == (said["calls"], 100)
    changes = {row["change"]: row for row in said["what_if"]}
    assert changes["the plan premium"]["days"] == 1
    assert changes["2,000 calls a day instead of 1,000"]["hours"] <= said["hours"]
    read = zohosync("plan", "--forecast", "--per-day", "100")
    for words in ("The limit of the day decides", "what if", "done by", "meanwhile 100 live"):
        assert words in read.output
    assert "Next: zohosync backfill" in read.output


def test_leaving_out_old_records_makes_it_shorter(zohosync: Run, book: books.Book) -> None:
    since = (book.today - timedelta(days=20)).isoformat()
    said = zohosync("plan", "--forecast", "--since", since, "--json").last
    older = said["older"]
    assert 0 < older["calls"] < said["calls"]
    (row,) = [row for row in said["what_if"] if since in row["change"]]
    assert row["calls"] == said["calls"] - older["calls"]
    assert row["hours"] < said["hours"]


def test_children_alone_wait_for_their_parents_and_it_says_so(
    zohosync: Run, book: books.Book
) -> None:
    said = zohosync("plan", "--forecast", "invoices", "--json").last
    assert said["calls"] < 5, "the tax and the item alone"
    assert any("wait for parents" in text for text in said["assumptions"])


def test_one_record_is_planned_field_by_field(zohosync: Run, book: books.Book) -> None:
    key = str(book.tables["customers"][0]["id"])
    said = zohosync("plan", "customers", key, "--json").last
    assert (said["step"], said["calls"], said["before"]) == ("create", 1, None)
    assert "@" in said["payload"]["email"]
    read = zohosync("plan", "customers", key)
    assert "display_name" in read.output
    assert "Nothing was sent." in read.output
    assert zohosync("plan", "customers", str(UUID(int=0))).code == 1
    unreadable = zohosync("plan", "customers", "99")
    assert "99: fail (its row cannot be read" in unreadable.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--forecast", "--per-day", "-1"), ("--per-day", "--help")),
        (("--forecast", "--per-day", "many"), ("--per-day", "--help")),
        (("--forecast", "--since", "yesterday"), ("'yesterday'", "2026-01-31")),
        (("--forecast", "--since", "2026-02-30"), ("'2026-02-30'", "2026-01-31")),
        (("--forecast", "customer"), ("'customer'", "did you mean customers?")),
        (("customer", "1"), ("'customer'", "did you mean customers?")),
        (("--per-day", "5"), ("go with --forecast", "zohosync plan --forecast")),
    ],
)
def test_a_wrong_question_is_refused_in_words(
    zohosync: Run, book: books.Book, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    done = zohosync("plan", *arguments)
    assert done.code == 2
    (line,) = [line for line in done.error.splitlines() if line.startswith("zohosync: ")]
    assert all(word in line for word in words), line


def test_a_report_before_anything_was_done(zohosync: Run, book: books.Book) -> None:
    assert zohosync("report", "--usage", "--json").last["known"] is False
    assert zohosync("report", "--days", "0").code == 2
    assert zohosync("plan", "--forecast", "--json").code == 0  # makes the organisation known
    said = zohosync("report", "--usage", "--json").last
    assert (said["spent"], said["saved"], said["today"]["left"]) == (0, 0, 1_000)


async def idle(joined: World) -> None:
    async with asyncio.timeout(60):
        await joined.service.run_until_idle(asyncio.Event(), poll_s=0.05)


async def sql(database: Database, text: str) -> list[dict[str, Any]]:
    async with database.transaction() as transaction:
        return await transaction.fetch_sql(text)


async def live_a_day(url: str) -> str:
    """Five people are made, marked again though they did not change, and one is edited often."""
    database = await Database.open(url, connections=4)
    async with database.transaction() as transaction:
        await transaction.execute_sql(PEOPLE)
    sandbox = Sandbox(clock=SystemClock(), chance=Chance(7), limits=SandboxLimits.lifted())
    settings = WorldSettings(limits=PLANS["standard"]).working(debounce_s=0.0)
    async with world(database, MAPPING, sandbox, settings=settings) as joined:
        await joined.source.mark_all("customers", priority=10)
        await idle(joined)
        await joined.source.mark_all("customers", priority=1)
        await idle(joined)
        await sql(
            database,
            "update public.people set name = 'Ann' where id = 1; "
            "select zohosync.mark('customers', '1') from generate_series(1, 20)",
        )
        await idle(joined)
    await database.close()
    return sandbox.organization_id


async def one_more_mark(url: str) -> None:
    database = await Database.open(url, connections=1)
    await sql(database, "select zohosync.mark('customers', '2')")
    await database.close()


def test_a_report_tells_what_was_spent_and_what_was_not_needed(
    zohosync: Run, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    org_id = asyncio.run(live_a_day(database_url))
    assert zohosync("init", ".", "--plan", "standard").code == 0
    for name, value in {**ORG, "ZOHOSYNC_ORGANIZATION_ID": org_id}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ZOHOSYNC_DATABASE_URL", database_url)
    said = zohosync("report", "--usage", "--days", "2", "--json").last
    assert said["by_operation"] == {"customers.create": 5, "customers.update": 1}
    assert said["by_lane"] == {"live": 5, "normal": 1}
    assert said["by_kind"] == {"customers": 6}
    assert sum(row["calls"] for row in said["by_day"]) == said["spent"] == 6
    (saved,) = said["saved_by_kind"]
    assert (saved["unchanged"], saved["merged"], saved["changes"]) == (5, 19, 30)
    assert said["saved"] + said["spent"] == saved["changes"], "one call for each change, or none"
    assert (said["today"]["spent"], said["today"]["left"]) == (6, 994)
    asyncio.run(one_more_mark(database_url))
    left = zohosync("status", "--json").last
    assert (left["moving"], left["eta_s"] > 0) == (1, True)
    assert "1 on their way: about 1 s" in zohosync("status").output
    read = zohosync("report", "--usage").output
    for words in ("Calls by day and lane", "customers.create", "6 spent, 24 saved"):
        assert words in read


async def asked(url: str, day_calls: int, foreign: int, *, more: str = "true") -> list[str]:
    """What three processes are told that ask at once, when so much of 1,000 calls is used."""
    database = await Database.open(url, connections=4)
    await sql(
        database,
        "update zohosync.organizations set day = (zohosync.current_time() at time zone time_zone)"
        f"::date, day_calls = {day_calls}, day_foreign = {foreign} where {more} returning 1",
    )
    usage = Usage(database, "1")
    told = await asyncio.gather(usage.note(), usage.note(), usage.note())
    await database.close()
    return [each.words for each in told if isinstance(each, Warned)]


async def registered(url: str, limits: str) -> None:
    database = await Database.open(url, connections=1)
    await sql(
        database,
        "insert into zohosync.organizations (org_id, data_center, mode, time_zone, active, limits) "
        f"values ('1', 'us', 'sandbox', '{ZONE}', true, '{limits}') returning 1",
    )
    await database.close()


def test_each_step_of_the_days_limit_is_told_once_by_whoever_comes_first(database_url: str) -> None:
    asyncio.run(registered(database_url, '{"per_day": 1000, "warn_at": null}'))
    steps = [(799, 0), (799, 1), (801, 100), (850, 100), (0, 0), (1_000, 0), (1_000, 400)]
    told = [asyncio.run(asked(database_url, ours, others)) for ours, others in steps]
    assert [len(each) for each in told] == [0, 1, 0, 1, 0, 1, 0]
    assert told[1][0].startswith("80 % of the day's limit is reached: 800 of 1,000 calls, 1 of")
    assert told[3][0].startswith("95 %")
    assert told[5][0].startswith("100 %")


def test_the_guides_own_number_is_where_it_warns_first(database_url: str) -> None:
    asyncio.run(registered(database_url, '{"per_day": 25000, "warn_at": 20000}'))
    assert asyncio.run(asked(database_url, 19_999, 0)) == []
    assert len(asyncio.run(asked(database_url, 20_000, 0))) == 1
    assert PLANS["guide"].warn_at == 20_000


def test_without_a_limit_of_the_day_nobody_is_warned(database_url: str) -> None:
    asyncio.run(registered(database_url, '{"per_day": null}'))
    assert asyncio.run(asked(database_url, 1_000_000, 0)) == []


async def looked(url: str) -> list[float | None]:
    """The seconds that 5,000 records take: at first, while closed, and with nothing left."""
    database = await Database.open(url, connections=2)
    history, usage = History(database, "1"), Usage(database, "1")
    found = []
    due = "insert into zohosync.records (org_id, kind, key, due_at) select '1', 'customers', n, "
    for change in (
        f"{due} zohosync.current_time() from generate_series(1, 5000) n returning 1",
        f"{CLOSE} zohosync.current_time() + interval '1 hour' returning 1",
        "update zohosync.records set status = 'synced' returning 1",
    ):
        await sql(database, change)
        async with aclosing(looks(history, usage, clock=SystemClock())) as seen:
            found.append((await anext(seen)).eta_s)
    await database.close()
    return found


def test_the_time_left_is_told_by_the_limits_before_anything_is_done(database_url: str) -> None:
    asyncio.run(registered(database_url, '{"per_minute": 100, "in_flight": 5, "per_day": null}'))
    first, closed, none = asyncio.run(looked(database_url))
    assert first == pytest.approx(5_000 / 99 * 60.85, rel=0.01)
    assert closed == pytest.approx((first or 0) + 3_600, abs=5)
    assert none == 0


async def in_two_steps(url: str) -> list[dict[str, Any]]:
    """A customer that is made, and then marked as inactive: two calls for one change."""
    database = await Database.open(url, connections=4)
    sandbox = Sandbox(clock=SystemClock(), chance=Chance(7), limits=SandboxLimits.lifted())
    async with world(database, BILL, sandbox) as joined:
        await joined.source.mark_all("customers", priority=10)
        await idle(joined)
        settled = "update zohosync.records set status = 'pending', due_at = success_at, "
        await sql(database, f"{settled} synced_version = 0 returning 1")
        await idle(joined)  # as after a link that was found: nothing is left to be done
    used = await Usage(database, sandbox.organization_id).used(1)
    await database.close()
    assert used is not None
    return used.savings


def test_nothing_left_to_do_after_a_call_for_the_same_change_spared_nothing(
    database_url: str,
) -> None:
    (row,) = asyncio.run(in_two_steps(database_url))
    assert (row["calls"], row["unchanged"], row["merged"]) == (2, 0, 0)


async def worked(url: str) -> list[Event]:
    """What a worker tells that makes nine records of the ten calls that the day has."""
    database = await Database.open(url, connections=4)
    sandbox = Sandbox(clock=SystemClock(), chance=Chance(7), limits=SandboxLimits.lifted())
    clock = ScaledClock(origin=SystemClock().now(), speed=10.0)
    nine = {kind: text.format(9) for kind, text in NUMBERED.items()}
    limits = Limits(per_minute=None, in_flight=10, per_day=10)
    async with world(
        database, nine, sandbox, clock=clock, settings=WorldSettings(limits=limits)
    ) as joined:
        await joined.source.mark_all("customers", priority=10)
        stop = asyncio.Event()
        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            tasks.create_task(joined.service.run(stop))
            while not any(map(is_warning, joined.events)):
                await clock.sleep(1.0)
            stop.set()
        found = list(joined.events)
    await database.close()
    return found


def is_warning(event: Event) -> bool:
    return isinstance(event, Noted) and event.level >= logging.WARNING


def test_a_worker_tells_that_the_day_runs_short(database_url: str) -> None:
    events = asyncio.run(worked(database_url))
    (noted,) = [event for event in events if is_warning(event)]
    assert isinstance(noted, Noted)
    assert "% of the day's limit is reached" in noted.message
    assert noted.level == logging.WARNING
