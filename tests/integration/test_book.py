"""The sample book and the starter's mapping, executed on a real Postgres."""

import fcntl
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from functools import partial
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import pytest
import simplejson
from psycopg.rows import dict_row
from psycopg.types.json import set_json_loads

import chinook
from zohosync.core.kinds import KINDS, MAPPED
from zohosync.core.mapping import column_names, desired_of
from zohosync.core.records import Desired
from zohosync.demo.book import Book, build, schema, statements, with_vat
from zohosync.demo.story import KIND_TABLES, edits, expected
from zohosync.store.embedded import EmbeddedPostgres
from zohosync.testing.world import quick_folder

TODAY = date(2026, 11, 22)
STARTER = Path(str(files("zohosync").joinpath("templates")))
Connection = psycopg.Connection[dict[str, Any]]


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    # Not pytest's own folder: where root runs the tests, only root may enter that.
    with TemporaryDirectory(prefix="zohosync-book-", dir=quick_folder()) as folder:
        with EmbeddedPostgres(Path(folder), fsync=False) as postgres:
            yield postgres
        with (Path(folder) / "reaper.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # held until the server has stopped


def database(server: EmbeddedPostgres, name: str) -> Connection:
    with psycopg.connect(server.url(), autocommit=True) as admin:
        admin.execute(f'drop database if exists "{name}" with (force)')
        admin.execute(f'create database "{name}"')
    made = psycopg.connect(server.url(name), autocommit=True, row_factory=dict_row)
    set_json_loads(partial(simplejson.loads, use_decimal=True), made)
    return made


def loaded(server: EmbeddedPostgres, book: Book, name: str) -> Connection:
    made = database(server, name)
    made.execute(schema())
    with made.cursor() as cursor:
        for sql, rows in statements(book):
            cursor.executemany(sql, rows)
    return made


@pytest.fixture(scope="module")
def book() -> Book:
    return build(TODAY)


@pytest.fixture(scope="module")
def shop(server: EmbeddedPostgres, book: Book) -> Iterator[Connection]:
    with loaded(server, book, "shop") as made:
        yield made


@pytest.fixture(scope="module")
def music(server: EmbeddedPostgres) -> Iterator[Connection]:
    with database(server, "music") as made:
        made.execute(chinook.script())
        yield made


def select(folder: Path, kind: str) -> str:
    return (folder / "mapping" / f"{kind}.sql").read_text(encoding="utf-8")


def wanted(connection: Connection, folder: Path, kind: str) -> list[Desired]:
    rows = connection.execute(select(folder, kind)).fetchall()
    return [
        desired_of(KINDS[kind], row, marker=f"zs:test:{row['key']}", marker_field=None)
        for row in rows
    ]


def watches(folder: Path) -> list[dict[str, Any]]:
    settings = tomllib.loads((folder / "zohosync.toml").read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = settings["watch"]
    return found


def test_the_book_is_large_enough_and_the_same_every_time(book: Book) -> None:
    assert build(TODAY).tables == book.tables
    assert build(TODAY, seed=2).tables != book.tables
    bought = Counter((r["customer_id"], r["package_id"]) for r in book.tables["customer_services"])
    kinds = Counter(row["invoice_type"] for row in book.tables["customer_invoices"])
    assert len(book.tables["customers"]) >= 200
    assert len(book.rows("customer_services", status="active")) >= 240
    assert len(book.tables["service_packages"]) >= 6
    assert sum(count == 2 for count in bought.values()) >= 10
    assert sum(kinds.values()) >= 500
    assert set(kinds) == {"recurring", "installation", "pro_rata", "equipment", "adjustment"}
    assert len(book.rows("payment_transactions", status="completed")) >= 450


@pytest.mark.parametrize("day", [date(2026, 2, 1), date(2027, 1, 31), date(2028, 2, 29)], ids=str)
def test_every_recurring_invoice_is_the_one_that_zoho_will_raise(day: date) -> None:
    book = build(day)
    services = {row["id"]: row for row in book.tables["customer_services"]}
    raised = book.rows("customer_invoices", invoice_type="recurring")
    assert len({row["service_id"] for row in raised}) == len(raised)
    for row in raised:
        service = services[row["service_id"]]
        assert row["invoice_date"] == service["activation_date"] <= day
        assert row["invoice_date"].replace(day=1) == day.replace(day=1)
        assert row["total_amount"] == with_vat(service["monthly_price"])


def test_no_vat_in_the_book_hangs_on_how_halves_are_rounded(book: Book) -> None:
    for row in book.tables["customer_invoices"]:
        lines = simplejson.loads(row["line_items"], use_decimal=True)
        taxes = [line["amount"] * Decimal("0.15") for line in lines]
        assert all(tax * 100 % 1 != Decimal("0.5") for tax in (*taxes, sum(taxes)))
        assert sum(round(tax, 2) for tax in taxes) == row["tax_amount"]
        assert row["subtotal"] + row["tax_amount"] == row["total_amount"]


@pytest.mark.parametrize("kind", MAPPED)
def test_the_starter_maps_the_book_and_finds_only_what_is_wrong_on_purpose(
    shop: Connection, book: Book, kind: str
) -> None:
    outcome = expected(book, edited=False)[kind]
    desired = wanted(shop, STARTER, kind)
    eligible = [one for one in desired if one.eligible]
    ended = [one for one in eligible if one.state in KINDS[kind].states.ended]
    faults = {one.ref.key: one.faults[0].message for one in eligible if one.faults}
    refused_by_zoho = {book.wrong["payment above its invoice"]}
    assert (len(desired), len(eligible), len(ended)) == (
        outcome.local,
        outcome.eligible,
        outcome.ended,
    )
    assert len({one.ref.key for one in desired}) == len(desired)
    assert faults.keys() == outcome.failed.keys() - refused_by_zoho
    for key, message in faults.items():
        assert outcome.failed[key] in message


def test_every_parent_that_the_starter_names_is_mapped_and_waits_are_counted(
    shop: Connection, book: Book
) -> None:
    outcome = expected(book, edited=False)
    everything = {kind: wanted(shop, STARTER, kind) for kind in MAPPED}
    keys = {kind: {one.ref.key for one in rows} for kind, rows in everything.items()}
    barred = {
        (kind, key)
        for kind, rows in everything.items()
        for key in {one.ref.key for one in rows if one.faults or not one.eligible}
    }
    for kind, rows in everything.items():
        waiting = {}
        for one in rows:
            parents = [slot.parent for slot in one.slots if slot.parent.kind in keys]
            assert all(parent.key in keys[parent.kind] for parent in parents)
            held = [parent for parent in parents if (parent.kind, parent.key) in barred]
            over = one.state in KINDS[kind].states.ended
            if one.eligible and not one.faults and not over and held:
                waiting[one.ref.key] = str(held[0])
                barred.add((kind, one.ref.key))
        assert waiting == outcome[kind].waiting


@pytest.mark.parametrize("kind", MAPPED)
def test_the_starter_names_only_columns_that_its_kind_has(shop: Connection, kind: str) -> None:
    cursor = shop.execute(select(STARTER, kind))
    columns = {column.name.split(".")[0] for column in cursor.description or ()}
    assert columns <= column_names(KINDS[kind])


def test_totals_that_the_starter_expects_follow_from_the_lines_that_it_sends(
    shop: Connection,
) -> None:
    for one in wanted(shop, STARTER, "invoices"):
        lines = one.payload["invoice_items"]
        taxes = {slot.parent.key for slot in one.slots if slot.parent.kind == "taxes"}
        assert taxes == {"VAT 15"}
        assert with_vat(sum(line["price"] * line["quantity"] for line in lines)) == one.total


def test_two_customers_with_one_e_mail_stay_two(shop: Connection, book: Book) -> None:
    doubled = Counter(one.payload["email"] for one in wanted(shop, STARTER, "customers"))
    shared = [email for email, count in doubled.items() if email and count == 2]
    assert shared == [book.tables["customers"][0]["email"]]


def test_each_edit_changes_what_it_says_and_the_counts_follow(
    server: EmbeddedPostgres, book: Book
) -> None:
    with loaded(server, book, "edited") as shop:
        before = {kind: wanted(shop, STARTER, kind) for kind in MAPPED}
        for edit in edits(book):
            for sql, values in edit.statements:
                assert shop.execute(sql, values).rowcount == 1, edit.label
        after = {kind: wanted(shop, STARTER, kind) for kind in MAPPED}
        outcome = expected(book)
    for kind, rows in after.items():
        assert len(rows) == outcome[kind].local
        assert sum(one.eligible for one in rows) == outcome[kind].eligible
    changed = {
        kind: len({repr(one) for one in after[kind]} - {repr(one) for one in before[kind]})
        for kind in MAPPED
    }
    assert changed == {
        "products": 0,
        "plans": 1,  # the dearer one; nobody who subscribes to it pays more
        "customers": 5 + 1,
        "subscriptions": 1 + 1,
        "invoices": 1 + 2,
        "payments": 1,
    }


def test_edits_that_need_a_synced_record_name_one_that_can_be(book: Book) -> None:
    outcome = expected(book)
    for kind, key in (after for edit in edits(book) for after in edit.after):
        assert key not in {*outcome[kind].failed, *outcome[kind].waiting}
        assert any(str(row["id"]) == key for row in book.tables[KIND_TABLES[kind]])


@pytest.mark.parametrize("kind", MAPPED)
def test_a_keyed_read_of_the_starter_uses_an_index(shop: Connection, kind: str) -> None:
    table, key = KIND_TABLES.get(kind), "uuid"
    index = f"{table}_pkey"
    if kind == "products":
        index, key = "service_packages_service_type", "text"
    shop.execute("set enable_seqscan = off")
    try:
        plan = shop.execute(
            f"explain select * from ({select(STARTER, kind)}) m"
            f" where m.key = any(%(keys)s::{key}[])",
            {"keys": ["00000000-0000-0000-0000-000000000000"]},
        ).fetchall()
    finally:
        shop.execute("reset enable_seqscan")
    assert index in "\n".join(row["QUERY PLAN"] for row in plan)


@pytest.mark.parametrize("watch", watches(STARTER), ids=lambda w: f"{w['table']} → {w['kind']}")
def test_each_watch_of_the_starter_leads_from_its_table_to_keys_of_its_kind(
    shop: Connection, watch: dict[str, Any]
) -> None:
    assert_leads_to_keys(shop, STARTER, watch)


@pytest.mark.parametrize(
    "watch", watches(chinook.EXAMPLE), ids=lambda w: f"{w['table']} → {w['kind']}"
)
def test_each_watch_of_chinook_leads_from_its_table_to_keys_of_its_kind(
    music: Connection, watch: dict[str, Any]
) -> None:
    assert_leads_to_keys(music, chinook.EXAMPLE, watch)


def assert_leads_to_keys(shop: Connection, folder: Path, watch: dict[str, Any]) -> None:
    keys = watch.get("keys") or f"select {watch['key']} from changed"
    marked = shop.execute(f"with changed as (select * from {watch['table']}) {keys}").fetchall()
    found = {str(value) for row in marked for value in row.values()}
    known = {str(row["key"]) for row in shop.execute(select(folder, watch["kind"])).fetchall()}
    assert found
    assert found - {"None"} <= known


@pytest.mark.parametrize("folder", [STARTER, chinook.EXAMPLE], ids=["starter", "chinook"])
def test_every_table_that_a_mapping_reads_is_watched_for_its_kind(folder: Path) -> None:
    for path in sorted((folder / "mapping").glob("*.sql")):
        text = re.sub(r"--[^\n]*", "", path.read_text(encoding="utf-8"))
        read = set(re.findall(r"\b(?:from|join)\s+(public\.\w+)", text))
        watched = {watch["table"] for watch in watches(folder) if watch["kind"] == path.stem}
        assert read == watched, path.stem


def test_write_back_columns_that_the_starter_proposes_exist(shop: Connection) -> None:
    text = (STARTER / "zohosync.toml").read_text(encoding="utf-8")
    proposed = re.sub(r"^# (?=\[kinds\.\w+\.write_back\]|\w+ = )", "", text, flags=re.MULTILINE)
    kinds = tomllib.loads(proposed)["kinds"]
    sections = {kind: kinds[kind]["write_back"] for kind in kinds if "write_back" in kinds[kind]}
    assert set(sections) == {"customers", "subscriptions", "invoices", "payments"}
    for section in sections.values():
        columns = ", ".join(value for name, value in section.items() if name != "table")
        shop.execute(f"select {columns} from {section['table']} limit 0")


def test_chinook_agrees_with_its_own_books_to_the_cent(music: Connection) -> None:
    customers, invoices, payments = (
        wanted(music, chinook.EXAMPLE, kind) for kind in ("customers", "invoices", "payments")
    )
    lines = [line for one in invoices for line in one.payload["invoice_items"]]
    total = Decimal(chinook.TOTAL)
    assert (len(customers), len(invoices), len(payments), len(lines)) == (
        chinook.CUSTOMERS,
        chinook.INVOICES,
        chinook.INVOICES,
        chinook.LINES,
    )
    assert sum(one.total or 0 for one in invoices) == total
    assert sum(line["price"] * line["quantity"] for line in lines) == total
    assert sum(one.payload["amount"] for one in payments) == total
    assert not [one.faults for one in (*customers, *invoices, *payments) if one.faults]


def test_the_tutorial_shows_the_example_as_it_is() -> None:
    tutorial = (chinook.ROOT / "docs" / "mapping.md").read_text(encoding="utf-8")
    for path in sorted((chinook.EXAMPLE / "mapping").glob("*.sql")):
        assert f"```sql\n{path.read_text(encoding='utf-8')}```" in tutorial, path.name


@pytest.mark.parametrize("kind", MAPPED)
def test_the_tutorial_names_every_column_that_a_kind_has(kind: str) -> None:
    tutorial = (chinook.ROOT / "docs" / "mapping.md").read_text(encoding="utf-8")
    columns = {*column_names(KINDS[kind]), *KINDS[kind].required} - set(KINDS[kind].constants)
    assert not [column for column in sorted(columns) if f"`{column}`" not in tutorial]
    states = KINDS[kind].states.names()
    assert not [state for state in sorted(states) if f"`{state}`" not in tutorial]
