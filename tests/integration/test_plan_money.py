"""What `zohosync plan` says of records, fields and money is what then happens in Zoho."""

import asyncio
import csv
import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import aclosing
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from acceptance.cli_kit import TOML, Done, project
from integration.test_book_sync import backfill, install, starter_mapping
from zohosync.cli import main
from zohosync.clock import Chance, SystemClock
from zohosync.core.money import Money
from zohosync.core.plan import Policy
from zohosync.demo import book as books
from zohosync.engine.passes import Rehearser, batches, rehearse
from zohosync.sandbox import Sandbox, SandboxLimits
from zohosync.store.database import Database
from zohosync.store.history import History
from zohosync.store.source import Source
from zohosync.testing.world import ZONE, World, WorldSettings, world

Run = Callable[..., Done]
Found = dict[tuple[str, str, str], tuple[int, Decimal]]
SCHEMA = """
create table people (id int primary key, name text, email text, currency text, gone bool);
create table bills (id int primary key, person int, status text, due date, lines jsonb);
create table money (id int primary key, bill int, amount numeric);
insert into people values (1, 'Ada', 'a@example.com', null, false),
  (2, 'Bob', 'b@example.com', 'USD', false), (3, 'Cy', 'c@example.com', null, true),
  (4, 'Dee', null, null, false);
insert into bills values
  (1, 1, 'open', '2020-01-31', '[{"name": "x", "price": 19.99, "quantity": 3}]'),
  (2, 2, 'open', '2099-01-31', '[{"name": "x", "price": "0.333", "quantity": 1},
                                 {"name": "y", "price": 100, "quantity": 1, "discount": 10}]'),
  (3, 1, 'draft', '2020-01-31', '[{"name": "x", "price": 0.1, "quantity": 1}]'),
  (4, 1, 'open', '2099-01-31', '[{"name": "x", "price": 0.2, "quantity": 1}]'),
  (5, 4, 'open', '2020-01-31', '[{"name": "x", "price": 7, "quantity": 1}]'),
  (6, 1, 'void', '2020-01-31', '[{"name": "x", "price": 8, "quantity": 1}]');
insert into money values (1, 1, 0.01), (2, 1, 59.96), (3, 2, 90.33), (4, 5, 7);
"""
MAPPING = {
    "customers": "select p.id as key, p.name as display_name, p.email, p.currency as "
    "currency_code, case when p.gone then 'inactive' else 'active' end as state from people p",
    "invoices": "select b.id as key, b.person as customer_key, b.status as state, "
    "'B-' || b.id as invoice_number, date '2020-01-01' as date, b.due as due_date, "
    "b.lines as invoice_items from bills b",
    "payments": "select m.id as key, b.person as customer_key, m.amount, 'cash' as payment_mode, "
    "date '2020-01-02' as date, 'P-' || m.id as reference_number, jsonb_build_array("
    "jsonb_build_object('invoice_key', b.id, 'amount_applied', m.amount)) as invoices "
    "from money m join bills b on b.id = m.bill",
}


@pytest.fixture
def zohosync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """The command in this process, in a folder of its own."""
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
def sandbox(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """The rows above in the database, a project for them, and nothing in the sandbox yet."""
    asyncio.run(sql(database_url, SCHEMA))
    project(tmp_path, TOML.split("[[watch]]")[0] + "\n[kinds.customers]\n[kinds.invoices]\n")
    for kind, text in MAPPING.items():
        (tmp_path / "mapping" / f"{kind}.sql").write_text(text)
    made = Sandbox(
        clock=SystemClock(), chance=Chance(7), time_zone=ZONE, limits=SandboxLimits.lifted()
    )
    for name, value in {
        "DATABASE_URL": database_url,
        "ORGANIZATION_ID": made.organization_id,
        "ORGANIZATION_CURRENCY": "ZAR",
        "API_URL": "http://127.0.0.1:9",
    }.items():
        monkeypatch.setenv(f"ZOHOSYNC_{name}", value)
    return made


async def sql(url: str, text: str) -> None:
    database = await Database.open(url, connections=1)
    async with database.transaction() as transaction:
        await transaction.execute_sql(text)
    await database.close()


async def done(url: str, sandbox: Sandbox) -> None:
    """Everything that is to be done, by the engine."""
    database = await Database.open(url, connections=4)
    settings = WorldSettings().working(debounce_s=0.0)
    async with world(database, MAPPING, sandbox, settings=settings) as joined:
        for kind in MAPPING:
            await joined.source.mark_all(kind, priority=1)
        async with asyncio.timeout(60):
            await joined.service.run_until_idle(asyncio.Event(), poll_s=0.05)
    await database.close()


def sums(rows: Iterable[tuple[str, str, str, Decimal]]) -> Found:
    found: Found = defaultdict(lambda: (0, Decimal(0)))
    for *place, amount in rows:
        count, total = found[tuple(place)]  # type: ignore[index]
        found[tuple(place)] = count + 1, total + amount  # type: ignore[index]
    return dict(found)


def booked(sandbox: Sandbox, numbers: set[str] | None = None) -> Found:
    """What is in the sandbox: of invoices (those with these numbers) and of payments."""
    invoices = [
        row
        for row in sandbox.ledger.records("invoices")
        if numbers is None or row["invoice_number"] in numbers
    ]
    return sums([
        *(("invoices", "created", row["currency_code"], row["total"]) for row in invoices),
        *(("invoices", "opened", row["currency_code"], row["total"])
          for row in invoices if row["state"] != "draft"),
        *(("payments", "created", row["currency_code"], row["amount"])
          for row in sandbox.ledger.records("payments")),
    ])  # fmt: skip


def told(said: dict[str, Any], *topics: str) -> Found:
    """The sums that a plan's --json tells of these topics."""
    return {
        (row["kind"], row["topic"], row["currency"]): (row["count"], Decimal(str(row["sum"])))
        for row in said["money"]
        if row["topic"] in topics
    }


def test_the_money_of_the_plan_is_what_then_stands_in_zoho(
    zohosync: Run, sandbox: Sandbox, database_url: str
) -> None:
    said = zohosync("plan", "--json").last
    assert not sandbox.ledger.calls(), "no call was spent"
    asyncio.run(done(database_url, sandbox))
    assert told(said, "created", "opened") == booked(sandbox)
    assert told(said, "opened")["invoices", "opened", "ZAR"] == (2, Decimal("60.17"))
    assert told(said, "opened")["invoices", "opened", "USD"] == (1, Decimal("90.33"))
    assert told(said, "overdue") == {("invoices", "overdue", "ZAR"): (1, Decimal("59.97"))}
    assert told(said, "markasinactive").keys() == {("customers", "markasinactive", "ZAR")}
    assert said["calls"] == len(sandbox.ledger.calls())
    assert any("Settings → Reminders" in each["next_step"] for each in said["warnings"])


def test_what_the_plan_lists_is_what_then_changes_in_zoho(
    zohosync: Run, sandbox: Sandbox, database_url: str
) -> None:
    asyncio.run(done(database_url, sandbox))
    edits = """
    update people set name = 'Adah' where id = 1;
    update bills set status = 'void' where id = 4;
    update bills set status = 'open', lines = '[{"name": "x", "price": 0.3, "quantity": 1}]'
     where id = 3;
    """
    asyncio.run(sql(database_url, edits))
    before = {row["invoice_number"]: row["total"] for row in sandbox.ledger.records("invoices")}
    said = zohosync("plan", "--json", "--csv", "plan.csv")
    listed = {
        (kind, row["key"], change["field"]): (row["step"], change["from"], change["to"])
        for kind, rows in said.last["listing"]["records"].items()
        for row in rows
        for change in row["changes"]
        if row["step"] not in ("fail", "wait")
    }
    assert listed == {
        ("customers", "1", "display_name"): ("update", "Ada", "Adah"),
        ("invoices", "3", "invoice_items[0].price"): ("update", 0.1, 0.3),
        ("invoices", "3", "state"): ("update", "draft", "open"),
        ("invoices", "4", "state"): ("void", "open", "void"),
    }
    assert said.last["listing"]["complete"]
    with Path("plan.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    moved = {
        (row["kind"], row["key"], row["field"]): (row["step"], row["from"], row["to"])
        for row in rows
        if row["step"] not in ("fail", "wait", "skip")
    }
    assert moved == {place: (step, str(a), str(b)) for place, (step, a, b) in listed.items()}
    assert {(row["key"], row["step"]) for row in rows if row["kind"] == "invoices"} >= {
        ("5", "wait"), ("6", "skip")
    }  # fmt: skip
    assert told(said.last, "void", "opened", "created") == {
        ("invoices", "void", "ZAR"): (1, before["B-4"]),
        ("invoices", "opened", "ZAR"): (1, Decimal("0.3")),
    }
    asyncio.run(done(database_url, sandbox))
    after = {row["invoice_number"]: row for row in sandbox.ledger.records("invoices")}
    assert after["B-4"]["state"] == "void"
    assert (after["B-3"]["state"], after["B-3"]["total"]) == ("open", Decimal("0.3"))


def test_a_kind_alone_borrows_the_currency_of_customers_that_are_not_planned(
    zohosync: Run, sandbox: Sandbox, database_url: str
) -> None:
    asyncio.run(done(database_url, sandbox))
    line = '[{"name": "x", "price": 5, "quantity": 1}]'
    asyncio.run(sql(database_url, f"insert into bills values (7, 2, 'open', null, '{line}')"))
    said = zohosync("plan", "invoices", "--json").last
    assert told(said, "created") == {("invoices", "created", "USD"): (1, Decimal(5))}


def test_a_screenful_of_each_kind_and_all_where_that_is_asked_for(
    zohosync: Run, sandbox: Sandbox, database_url: str
) -> None:
    more = "select n, 'P ' || n, n || '@example.com', null, false from generate_series(101, 130) n"
    asyncio.run(sql(database_url, f"insert into people {more}"))
    read = zohosync("plan", "customers").output
    assert "create    1  display_name Ada; email a@example.com" in read
    assert "fail      4  email is required and is empty" in read
    assert "… and 24 more customers: --all, or --csv FILE" in read
    assert "create    130" not in read
    assert "… and 31 more" in zohosync("plan", "customers", "--limit", "2").output
    nothing = zohosync("plan", "customers", "--limit", "0", "--json").last
    assert (nothing["listing"]["records"], nothing["listing"]["complete"]) == ({}, False)
    whole = zohosync("plan", "customers", "--all")
    assert "create    130  display_name P 130" in whole.output
    assert "more customers" not in whole.output
    assert nothing["kinds"]["customers"]["steps"] == {"create": 33, "fail": 1}


def test_a_value_cannot_break_the_line_or_steer_the_terminal(
    zohosync: Run, sandbox: Sandbox, database_url: str
) -> None:
    asyncio.run(sql(database_url, "update people set name = E'A\\nda\\x1b[2J' where id = 1"))
    read = zohosync("plan", "customers").output
    assert "\x1b" not in read
    assert "display_name A da [2J;" in read


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--limit", "-1"), ("--limit", "--help")),
        (("--limit", "ten"), ("--limit", "--help")),
        (("--limit", "3", "--all"), ("contradict", "leave one out")),
        (("--csv", "missing/plan.csv"), ("missing/plan.csv", "cannot be written", "--csv")),
        (("--csv", "mapping"), ("cannot be written", "not a plain file")),
        (("--csv", "/dev/null"), ("cannot be written", "not a plain file")),
        (("customers", "1", "--all"), ("whole kinds", "zohosync plan")),
        (("--forecast", "--csv", "x.csv"), ("whole kinds", "zohosync plan")),
    ],
)
def test_a_wrong_wish_is_refused_in_words(
    zohosync: Run, sandbox: Sandbox, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    ended = zohosync("plan", *arguments)
    assert ended.code == 2
    (line,) = [line for line in ended.error.splitlines() if line.startswith("zohosync: ")]
    assert all(word in line for word in words), line
    assert not [path for path in Path().iterdir() if path.suffix in (".csv", ".part")]


def test_a_plan_that_breaks_leaves_the_file_as_it_was(
    zohosync: Run, sandbox: Sandbox, database_url: str
) -> None:
    Path("plan.csv").write_text("yesterday's")
    ended = zohosync("plan", "--csv", "plan.csv")
    assert ended.code == 0
    whole = Path("plan.csv").read_text(encoding="utf-8")
    assert whole.startswith("kind,key,step,field,from,to\n") or "\r\n" in whole
    broken = '(select 1 / (p.id - 4)) as "custom_fields.x"'  # the fourth row cannot be read
    text = MAPPING["customers"].replace("p.email", f"p.email, {broken}")
    Path("mapping/customers.sql").write_text(text)
    assert zohosync("plan", "--csv", "plan.csv").code == 1
    assert Path("plan.csv").read_text(encoding="utf-8") == whole
    assert not list(Path().glob(".*.part"))


async def test_whoever_breaks_off_amid_the_rows_leaves_with_the_own_error(
    database: Database,
) -> None:
    many = "select n as key from generate_series(1, 5000) n"
    source = await Source.open(
        database, {"customers": many}, installation="x", marker_field=None, time_zone=ZONE
    )
    with pytest.raises(BrokenPipeError):
        await broken_off(source)


async def broken_off(source: Source) -> None:
    async with aclosing(batches(source, "customers")) as found:
        async for _ in found:
            raise BrokenPipeError


async def rehearsed(joined: World, database: Database, today: date, org_id: str) -> Money:
    money = Money(today, "ZAR")
    rehearser = Rehearser(
        joined.source, Policy(), records=joined.records, history=History(database, org_id),
        money=money,
    )  # fmt: skip
    await rehearse(rehearser, joined.source, joined.source.kinds, lambda *_: None)
    return money


@pytest.mark.slow
async def test_the_money_of_the_sample_book_is_what_is_booked_but_for_what_zoho_refuses(
    database: Database,
) -> None:
    today = SystemClock().now().astimezone(ZoneInfo(ZONE)).date()
    book = books.build(today)
    await install(database, book)
    sandbox = Sandbox(
        clock=SystemClock(), chance=Chance(7), time_zone=ZONE, limits=SandboxLimits.lifted()
    )
    settings = WorldSettings().working(debounce_s=0.0)
    async with world(database, starter_mapping(), sandbox, settings=settings) as joined:
        money = await rehearsed(joined, database, today, sandbox.organization_id)
        await backfill(joined)
    rows = book.tables["customer_invoices"]
    ours = {row["invoice_number"] for row in rows if row["invoice_type"] != "recurring"}
    (refused,) = book.rows("payment_transactions", id=UUID(book.wrong["payment above its invoice"]))
    planned = {
        (kind, topic, currency): (found.count, found.amount)
        for (kind, topic, currency), found in money.sums.items()
        if topic in ("created", "opened")
    }
    count, amount = planned["payments", "created", "ZAR"]
    planned["payments", "created", "ZAR"] = count - 1, amount - refused["amount"]
    assert planned == booked(sandbox, ours)
    late = [
        row for row in sandbox.ledger.records("invoices")
        if row["invoice_number"] in ours and row["state"] != "draft"
        and row["due_date"] < today.isoformat()
    ]  # fmt: skip
    (overdue,) = money.of("overdue").values()
    assert (overdue.count, overdue.amount) == (len(late), sum(row["total"] for row in late))
    (past,) = money.of("backdated").values()
    begun = [
        row for row in sandbox.ledger.records("subscriptions")
        if row["current_term_starts_at"] < today.isoformat()
    ]  # fmt: skip
    assert past.count == len(begun)
    assert past.amount == sum(row["plan"]["price"] * row["plan"]["quantity"] for row in begun)
