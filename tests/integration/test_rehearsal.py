"""A rehearsal: the user's rows through the real engine, and not a trace of it in their database."""

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from acceptance.kit import MAPPING, SHOP
from zohosync.core.records import Ref
from zohosync.demo.rehearsal import Report, rehearse
from zohosync.errors import SettingsError
from zohosync.settings import Settings, load
from zohosync.store.copies import copied_mapping, copy_kind
from zohosync.store.database import Database
from zohosync.store.migrate import migrate
from zohosync.store.source import Source

ROWS = """
insert into people select n, 'P ' || n, n || '@example.com', null from generate_series(1, 6) n;
insert into people values (7, 'Nobody', 'no address', null);
insert into bills select n, n, 10.50, '2026-03-01' from generate_series(1, 7) n;
insert into paid select n, n from generate_series(1, 7) n;
"""
TOML = """
[organization]
id = "4711"
mode = "test"
time_zone = "Africa/Johannesburg"

[limits]
plan = "custom"
per_minute = 100
in_flight = 5
per_day = {per_day}

[kinds.customers.write_back]
table = "public.people"
key = "id"
status = "phone"

[[watch]]
table = "public.people"
kind = "customers"
key = "id"
"""
# Whatever a write would leave behind: new things, and another version of an old one.
TRACES = """
select 'schema' as what, oid::text, nspname::text as name, xmin::text from pg_namespace
 where nspname !~ '^pg_(toast_)?temp'
union all select 'relation', oid::text, relname::text, '' from pg_class
union all select 'function', oid::text, proname::text, xmin::text from pg_proc
union all select 'trigger', oid::text, tgname::text, xmin::text from pg_trigger
union all select 'type', oid::text, typname::text, xmin::text from pg_type
union all select 'person', ctid::text, people::text, xmin::text from people
union all select 'bill', ctid::text, bills::text, xmin::text from bills
union all select 'paid', ctid::text, paid::text, xmin::text from paid
order by 1, 2
"""
READ_ONLY = quote("-c default_transaction_read_only=on")


def traces(url: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as link:
        return link.execute(TRACES).fetchall()


def project(folder: Path, url: str, *, per_day: int = 1_000) -> Settings:
    folder.chmod(0o711)
    (folder / "mapping").mkdir()
    (folder / "zohosync.toml").write_text(TOML.format(per_day=per_day), encoding="utf-8")
    for kind, text in MAPPING.items():
        (folder / "mapping" / f"{kind}.sql").write_text(text, encoding="utf-8")
    return load(folder, flags={"database.url": f"{url}&options={READ_ONLY}"})


def rehearsed(settings: Settings) -> Report:
    with TemporaryDirectory(prefix="zohosync-rehearsal-") as name:
        Path(name).chmod(0o711)
        return rehearse(settings, Path(name), lambda *_: None)


@pytest.fixture(scope="module")
def ran(clusters: Callable[[str], Any]) -> Iterator[tuple[Report, Any, Any]]:
    """A rehearsal of a small shop at ten calls a day, and its database before and after."""
    cluster = clusters("embedded")
    name = cluster.create("template0")
    url = cluster.postgres.url(name)
    with psycopg.connect(url) as link:
        link.execute(f"{SHOP}; {ROWS}".encode())
    before = traces(url)
    with TemporaryDirectory(prefix="zohosync-shop-") as folder:
        report = rehearsed(project(Path(folder), url, per_day=10))
    yield report, before, traces(url)
    cluster.drop(name)


def test_every_row_ends_where_the_engine_would_leave_it(ran: tuple[Report, Any, Any]) -> None:
    kinds = ran[0].kinds
    told = {kind: (o.rows, o.created, o.failed, o.waiting) for kind, o in kinds.items()}
    assert told == {
        "customers": (7, 6, 1, 0), "invoices": (7, 6, 0, 1), "payments": (7, 6, 0, 1),
    }  # fmt: skip
    assert all(o.unsettled == o.linked == o.skipped == 0 for o in kinds.values())


def test_what_would_fail_is_named_with_its_reason(ran: tuple[Report, Any, Any]) -> None:
    stopped = {Ref(each.kind, each.key): each for each in ran[0].stopped}
    assert set(stopped) == {Ref("customers", "7"), Ref("invoices", "7"), Ref("payments", "7")}
    assert "email" in stopped[Ref("customers", "7")].reason
    assert stopped[Ref("invoices", "7")].waiting_on == "customers 7"


def test_days_under_the_plans_limits_pass_in_seconds(ran: tuple[Report, Any, Any]) -> None:
    report = ran[0]
    assert report.calls == 26  # 7 customers, an item, 6 invoices made and opened, 6 payments
    assert report.days >= 3
    assert report.hours > 24
    assert (report.blocks, report.seconds < 60) == (0, True)


def test_the_users_database_is_as_it_was(ran: tuple[Report, Any, Any]) -> None:
    _, before, after = ran
    assert after == before


def test_what_compare_saw_in_zoho_is_there_and_what_was_linked_stays_linked(
    clusters: Callable[[str], Any], tmp_path: Path
) -> None:
    cluster = clusters("embedded")
    name = cluster.create("zohosync_template")
    url = cluster.postgres.url(name)
    with psycopg.connect(url) as link:
        link.execute(f"{SHOP}; {ROWS}; {SEEN}".encode())
    try:
        with TemporaryDirectory(prefix="zohosync-shop-") as folder:
            report = rehearsed(project(Path(folder), url))
    finally:
        cluster.drop(name)
    customers = report.kinds["customers"]
    assert (customers.created, customers.linked, customers.failed) == (5, 1, 1)
    assert any("began with 2 records that compare saw, 1 of them linked" in n for n in report.notes)


SEEN = """
drop table if exists zohosync.seen;
create table zohosync.seen (org_id text, kind text, zoho_id text, fields jsonb);
insert into zohosync.seen values
  ('4711', 'customers', 'z1', '{"display_name": "P 1", "email": "1@example.com"}'),
  ('4711', 'customers', 'z9', '{"display_name": "Old", "email": "old@example.com"}');
insert into zohosync.installation (installation, database_name, system_identifier)
values ('abcd1234', current_database(), 'x');
insert into zohosync.organizations (org_id, data_center, mode, time_zone, active)
values ('4711', 'us', 'live', 'UTC', true);
insert into zohosync.records (org_id, kind, key, synced_version, status, zoho_id, payload)
values ('4711', 'customers', '1', 1, 'synced', 'z1', '{"display_name": "P 1", "phone": null,
        "email": "1@example.com", "notes": "zs:abcd1234:1"}')
"""


def test_a_project_without_a_database_is_told_which_setting_to_make(tmp_path: Path) -> None:
    project(tmp_path, "postgresql://nowhere/x?a=b")
    with pytest.raises(SettingsError, match=r"names no database.*set ZOHOSYNC_DATABASE_URL"):
        rehearse(load(tmp_path), tmp_path, lambda *_: None)


EVERYTHING = """
select n as key, 'P ' || n as display_name, case n when 2 then null else n * 1.10 end as amount,
       date '2026-01-31' + n as date, timestamptz '2026-01-31 10:00:00.123+02' as at,
       jsonb_build_object('a', 1.10, 'b', array['x', 'ü']) as list, array[n, null] as numbers,
       array['a,b', null, '"'] as words, true as yes, 'odd'::public.mood as mood,
       '\\x00ff'::bytea as bytes, 'x'::character(3) as padded, interval '1 month 3 days' as span,
       0.1::float8 as share, null::text as nothing, 'NaN'::numeric as nan, 5 as "100 % of it"
  from generate_series(3, 1, -1) n
"""


async def test_a_copy_reads_as_the_original_does(
    empty_database_url: str, database_url: str
) -> None:
    origin = await Database.open(empty_database_url)
    target = await Database.open(database_url)
    await migrate(target)
    async with origin.transaction() as transaction:
        await transaction.execute_sql("create type public.mood as enum ('odd')")
    zone = "Africa/Johannesburg"
    told: dict[str, Any] = {"installation": "x", "marker_field": None, "time_zone": zone}
    source = await Source.open(origin, {"customers": EVERYTHING}, **told)
    mapped = source.mapped("customers")
    assert await copy_kind(origin, mapped, target, time_zone=zone) == 3
    copy = await Source.open(target, {"customers": copied_mapping("customers")}, **told)
    there = [row async for rows in source.all_rows("customers") for row in rows]
    here = [row async for rows in copy.all_rows("customers") for row in rows]
    assert [name for name, _ in copy.mapped("customers").columns] == [
        name for name, _ in mapped.columns
    ]
    assert repr(here) == repr(there)
    await origin.close()
    await target.close()
