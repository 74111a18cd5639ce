"""`check --production` on a real database: all well, then one thing after the other spoiled."""

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from zohosync.cli import main
from zohosync.core.production import NAMES
from zohosync.protected import write_protected
from zohosync.settings import load
from zohosync.wiring import credentials_of

TOML = """
[organization]
id = "10001"
mode = "live"
time_zone = "Africa/Johannesburg"
[kinds.customers.write_back]
table = "public.people"
key = "id"
zoho_id = "zoho_id"
[[watch]]
table = "public.people"
kind = "customers"
key = "id"
"""
PEOPLE = """
create table public.people (id integer primary key, name text, email text, zoho_id text);
insert into public.people select n, 'P ' || n, n || '@example.com' from generate_series(1, 5) n;
"""
WELL = """
update zohosync.organizations
   set paused_kinds = '{{}}', created_at = created_at - interval '9 days';
insert into zohosync.workers (worker, org_id, host, pid, version)
values ('w', '10001', 'h', 1, '0');
insert into zohosync.api_calls (org_id, door, lane, worker, operation, method, path, deadline,
  finished_at, counts_until, outcome, mint_key)
values ('10001', 'accounts', 10, 'w', 'token', 'POST', '/', clock_timestamp(), clock_timestamp(),
  clock_timestamp(), 'found', '{mint_key}');
insert into zohosync.sync_metrics (org_id, metric_date, metric_type, entity_type, metric_value)
select '10001', (clock_timestamp() at time zone 'Africa/Johannesburg')::date - 1, 'calls', 'all', 0;
"""
SPOILT = (
    ("mapping", "update public.people set name = null where id = 3"),
    ("queue", "delete from zohosync.watches"),
    ("limits", "update zohosync.organizations set limits = jsonb_set(limits, '{per_day}', '7')"),
    ("indexes", "drop index zohosync.records_due"),
    (
        "metrics",
        """update zohosync.organizations set created_at = created_at - interval '3 days';
        delete from zohosync.sync_metrics""",
    ),
    ("credentials", "update zohosync.api_calls set outcome = 'unauthorized'"),
    ("kinds", "update zohosync.organizations set paused_kinds = '{customers}'"),
    ("time zone", "update zohosync.organizations set time_zone = 'Africa/Harare'"),
    (
        "alerts",
        """insert into zohosync.notices (org_id, grave, good, title, body, fingerprints, pending,
             error)
           values ('10001', false, false, 't', 'b', '{}', '{json://alerts.example}',
                   'json://alerts.example: it cannot be reached')""",
    ),
    ("workers", "update zohosync.workers set heartbeat_at = heartbeat_at - interval '1 hour'"),
    (
        "usage",
        """insert into zohosync.usage_days (org_id, day, calls, per_day)
           values ('10001', current_date, 900, 1000)""",
    ),
    ("write-back", "alter table public.people rename zoho_id to zoho"),
    ("schema", "delete from zohosync.migrations where version = 9"),
)


@pytest.fixture
def project(tmp_path: Path, database_url: str, capsys: pytest.CaptureFixture[str]) -> Path:
    (tmp_path / "mapping").mkdir()
    (tmp_path / "mapping" / "customers.sql").write_text(
        "select p.id as key, p.name as display_name, p.email from public.people p"
    )
    (tmp_path / "zohosync.toml").write_text(TOML)
    kept = {
        "zoho.client_id": "1000.CLIENT",
        "zoho.client_secret": "a secret",
        "zoho.refresh_token": "1000.refresh",
        "database.url": database_url,
        "alerts.channels": "json://alerts.example/x",
    }
    write_protected(tmp_path, kept)
    with psycopg.connect(database_url) as link:
        link.execute(PEOPLE)
    assert ran("migrate", "--project", str(tmp_path)) == 0
    mint_key = credentials_of(load(tmp_path)).token_key()
    with psycopg.connect(database_url) as link:
        link.execute(WELL.format(mint_key=mint_key).encode())
    capsys.readouterr()
    return tmp_path


def ran(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    assert isinstance(ended.value.code, int)
    return ended.value.code


def checked(project: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    code = ran("check", "--production", "--json", "--project", str(project))
    told: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert "items" in told, told
    assert code == (0 if told["ok"] else 1)
    return told


def test_all_is_well_and_then_one_thing_is_spoiled_after_the_other(
    project: Path, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = checked(project, capsys)
    assert [item for item in told["items"] if not item["ok"]] == []
    assert [item["name"] for item in told["items"]] == list(NAMES)
    name = database_url.partition("@/")[2].partition("?")[0]
    with psycopg.connect(
        database_url.replace(f"/{name}?", "/postgres?"), autocommit=True
    ) as server:
        for item, text in SPOILT:
            server.execute(f"create database spoilt template {name} strategy file_copy".encode())
            spoilt = database_url.replace(f"/{name}?", "/spoilt?")
            try:
                with psycopg.connect(spoilt) as link:
                    link.execute(
                        "update zohosync.installation set database_name = current_database()"
                    )
                    link.execute(text.encode())
                write_protected(project, {"database.url": spoilt})
                told = checked(project, capsys)
            finally:
                server.execute(b"drop database spoilt with (force)")
            failed = [each for each in told["items"] if not each["ok"]]
            assert [each["name"] for each in failed] == [item], (text, failed)
            assert failed[0]["next_step"]
            assert failed[0]["evidence"]


def test_people_read_what_fails_and_what_mends_it(
    project: Path, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_protected(project, {"alerts.channels": "nonsense-with-a-secret"})
    assert ran("check", "--production", "--project", str(project)) == 1
    said = capsys.readouterr()
    assert "FAIL  alerts: 1 of 1 addresses cannot be read" in said.out
    assert said.out.splitlines()[-1].startswith("Next: correct ZOHOSYNC_ALERTS_CHANNELS")
    assert "nonsense" not in said.out + said.err
