"""`zohosync report`: key figures of closed days in every form, from rows that were really there."""

import asyncio
import csv
import io
import os
import re
from collections.abc import Callable
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg
import pytest

from acceptance.cli_kit import Done
from zohosync.cli import main
from zohosync.clock import SystemClock
from zohosync.core.kpis import KPIS
from zohosync.store.database import Database

Run = Callable[..., Done]
NOW = SystemClock().now()
ZONE = f"Etc/GMT{NOW.hour - 12:+d}"  # where it is noon: a day is closed ten minutes after its end
TODAY = NOW.astimezone(ZoneInfo(ZONE)).date()
# 20 days: some attempts each, of which a few fail, one in twenty is tried twice; more on weekdays.
LIVED = """
insert into zohosync.organizations (org_id, data_center, mode, time_zone, active, limits, kinds,
  created_at)
values ('10234', 'us', 'sandbox', '{zone}', true, '{{"per_day": 1000}}',
  '{{customers,invoices,payments}}', zohosync.current_time() - interval '20 days');
insert into zohosync.sync_logs (org_id, kind, key, version, zoho_entity_type, step, status, result,
  attempt_number, duration_ms, calls, worker, changes, sync_ms, sync_calls, created_at)
select '10234', (array['customers', 'invoices', 'payments'])[1 + n % 3], n::text, 1, 'x',
       case when n % 7 = 5 then 'nothing' else 'update' end,
       case when n % 61 = 6 and n % 3 = 0 then 'failed' when n % 20 = 9 then 'retrying'
            else 'success' end,
       'updated', 1, 300 + n * 37 % 900, 1, 'w', 1 + n % 4 / 3, 300 + n * 37 % 900,
       case when n % 7 = 5 then 0 else 1 end, d.began + n * interval '4 min'
  from generate_series(0, 20) as back,
       lateral (select (zohosync.current_time() at time zone '{zone}')::date - back as day) c,
       lateral (select c.day::timestamp at time zone '{zone}' as began,
                       case extract(isodow from c.day) when 6 then 30 when 7 then 20
                            else 60 + (21 - back) * 5 end as many) d,
       generate_series(0, d.many::integer) as n
 where d.began + n * interval '4 min' < zohosync.current_time();
insert into zohosync.api_calls (org_id, door, lane, kind, key, worker, operation, method, path,
  started_at, deadline, counts_until, sent, outcome)
select '10234', 'api', 5, kind, key, 'w', 'x', 'PUT', '/', created_at, created_at, created_at, true,
       case when log_id % 997 = 0 then 'throttled' else 'accepted' end
  from zohosync.sync_logs where step = 'update';
insert into zohosync.usage_days (org_id, day, calls, foreign_calls, per_day)
select '10234', (started_at at time zone '{zone}')::date, count(*) * 4, 40, 1000
  from zohosync.api_calls group by 2
"""


@pytest.fixture
def zohosync(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    database_url: str,
) -> Run:
    """The command in this process, in a project whose database is empty but for the schema."""
    for name in [name for name in os.environ if name.startswith("ZOHOSYNC_")]:  # noqa: TID251
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Done:
        with pytest.raises(SystemExit) as left:
            main(list(arguments))
        output, error = capsys.readouterr()
        return Done(int(left.value.code or 0), output, error)

    assert run("init", ".", "--plan", "standard").code == 0
    told = {
        "DATABASE_URL": database_url,
        "ORGANIZATION_ID": "10234",
        "API_URL": "http://127.0.0.1:9",
    }
    for name, value in told.items():
        monkeypatch.setenv(f"ZOHOSYNC_{name}", value)
    return run


def live(url: str) -> None:
    async def lived() -> None:
        database = await Database.open(url, connections=1)
        async with database.transaction() as transaction:
            await transaction.execute_sql(LIVED.format(zone=ZONE))
        await database.close()

    asyncio.run(lived())


class Tags(HTMLParser):
    """What a page holds: its tags, and the addresses that it names."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]


def test_a_report_in_every_form_tells_the_same(
    zohosync: Run, database_url: str, tmp_path: Path
) -> None:
    live(database_url)
    said = zohosync("report", "--week", "--json").last
    yesterday = (TODAY - timedelta(days=1)).isoformat()
    assert (said["last"], said["days"], said["days_known"]) == (yesterday, 7, 7)
    assert set(said["figures"]) == {kpi.name for kpi in KPIS}
    calls = said["figures"]["api_calls"]
    assert (
        calls["value"]
        == sum(calls["by_day"])
        == sum(kind["api_calls"] for kind in said["by_kind"].values())
    )
    assert len(said["answers"]) == 4
    shown = f"{calls['value']:,}"
    read = zohosync("report")
    assert read.code == 0
    for words in (shown, "success rate", "By kind", "what is to be changed", "report --usage",
                  f"Today ({TODAY}) so far"):  # fmt: skip
        assert words in read.output, words
    text = zohosync("report", "--markdown").output
    assert text.startswith(f"# Key figures of {said['first']} to {yesterday} (7 days)")
    assert f"| calls | {shown} |" in text
    sheet = list(csv.DictReader(io.StringIO(zohosync("report", "--csv").output)))
    whole = [
        row for row in sheet if row["metric_type"] == "api_calls" and row["entity_type"] == "all"
    ]
    assert [int(row["value"]) for row in whole] == [calls["value"], *calls["by_day"]]
    page = tmp_path / "report.html"
    told = zohosync("report", "--quarter", "--html", str(page))
    assert (told.code, "of which 20 are known" in told.output) == (0, True)
    html = page.read_text(encoding="utf-8")
    held = Tags(html)
    assert held.addresses == [], "it needs no other file, and no network"
    assert held.tags.count("table") >= 2
    assert "uPlot" in html


def test_a_day_is_shown_alone_and_today_so_far(zohosync: Run, database_url: str) -> None:
    live(database_url)
    day = TODAY - timedelta(days=3)
    said = zohosync("report", "--day", "--of", f"{day}", "--json").last
    assert (said["first"], said["last"]) == (f"{day}", f"{day}")
    before = zohosync("report", "--day", "--of", f"{day - timedelta(days=1)}", "--json").last
    for name, figure in said["figures"].items():
        assert figure["before"] == before["figures"][name]["value"]
    today = zohosync("report", "--day", "--of", f"{TODAY}")
    assert "so far: the day is not over" in today.output
    kept = zohosync("report", "--day", "--of", f"{TODAY}", "--json").last
    assert kept["figures"]["api_calls"]["value"] == kept["today"]["api_calls"]


def test_a_month_tells_its_figures_and_its_books(
    zohosync: Run, database_url: str, tmp_path: Path
) -> None:
    live(database_url)
    for file in (tmp_path / "mapping").glob("*.sql"):
        file.unlink()
    bills = "select '1' as key, '1' as customer_key, 'N1' as invoice_number, 1 as total"
    (tmp_path / "mapping" / "invoices.sql").write_text(f"{bills}, current_date as date")
    (tmp_path / "zohosync.toml").write_text('[organization]\nmode = "sandbox"\n')
    day = TODAY - timedelta(days=10)
    done = zohosync("report", "--month", f"{day:%Y-%m}", "--json")
    assert (done.code, done.last["never_read"]) == (1, ["invoices"])
    assert done.last["first"] == f"{day.replace(day=1)}" <= f"{day}" <= done.last["last"]
    assert done.last["figures"]["api_calls"]["value"] > 0
    assert "zohosync compare invoices" in done.error


WRONG: list[tuple[tuple[str, ...], str]] = [
    (("--day", "--of", f"{TODAY + timedelta(days=1)}"), "is in the future"),
    (("--week", "--of", f"{TODAY}"), "is not over yet"),
    (("--of", "yesterday"), "write it as 2026-10-05"),
    (("--month", "2026-13"), "write it as 2026-10"),
    (("--month", "2199-01"), "has not begun yet"),
    (("--day", "--week"), "--day and --week do not go together"),
    (("--week", "--usage"), "--week and --usage do not go together"),
    (("--csv", "--json"), "--csv and --json do not go together"),
    (("--usage", "--of", "2026-10-05"), "--usage and --of do not go together"),
    (("--usage", "--html", "x.html"), "--usage and --html do not go together"),
    (("--prometheus", "--json"), "--prometheus and --json do not go together"),
    (("--month", "2026-01", "--of", "2026-01-05"), "--of and --month do not go together"),
    (("--html", "nowhere/x.html"), "The page cannot be written"),
]


def test_a_wrong_question_is_refused_in_one_line(
    zohosync: Run, database_url: str, tmp_path: Path
) -> None:
    live(database_url)
    for arguments, words in WRONG:
        done = zohosync("report", *arguments)
        assert done.code == 2
        (line,) = [line for line in done.error.splitlines() if line.startswith("zohosync: ")]
        assert words in line
    assert not list(tmp_path.glob("*.html"))


def test_an_organisation_that_is_not_known_has_no_figures(zohosync: Run) -> None:
    done = zohosync("report", "--json")
    assert (done.code, done.last) == (0, {"organization": "10234", "known": False})
    assert re.search(r"Next: zohosync migrate", done.error)


def test_the_first_day_has_nothing_to_tell_and_says_so(
    zohosync: Run, database_url: str, tmp_path: Path
) -> None:
    assert zohosync("plan", "--forecast", "--json").code in (0, 1)  # makes it known
    live_nothing = zohosync("report")
    assert live_nothing.code == 0
    assert "of which 0 are known" in live_nothing.output
    assert "Nothing had to be brought into step." in live_nothing.output
    assert zohosync("report", "--html", str(tmp_path / "page.html")).code == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<h1>No figures yet</h1>" in page


def test_no_figures_are_made_of_days_whose_calls_are_not_kept_any_more(
    zohosync: Run, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    live(database_url)
    monkeypatch.setenv("ZOHOSYNC_RETENTION_JOURNAL_DAYS", "8")
    assert zohosync("report").code == 0

    with psycopg.connect(database_url) as link:
        oldest = link.execute("select min(metric_date) from zohosync.sync_metrics").fetchone()
    assert oldest == (TODAY - timedelta(days=7),)
