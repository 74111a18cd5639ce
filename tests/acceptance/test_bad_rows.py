"""Rows and replies that are wrong in every way: each fails with its reason, and stops nobody."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from acceptance.kit import MAPPING, ShiftedClock, Shop, pretend, shop
from zohosync.sandbox import Fault, Faults

pytestmark = pytest.mark.acceptance
TWICE = {
    **MAPPING,
    "customers": MAPPING["customers"]
    + ", generate_series(1, case when p.phone = 'twice' then 2 else 1 end)",
}
NAMES = {
    3: "👩‍🚀 Zoë 🧾",
    4: "\u202bשרה כהן\u202c مريم",
    5: "名前 \u0301 𝒳 ß",
    6: "a\nb\tc\\d\"e'f; drop table people; --",
}
PEOPLE: dict[int, tuple[str | None, str | None, str, str | None]] = {
    # id: (name, e-mail, phone, what the reason of its failure says; None: it ends in step)
    1: ("Good", "p1@example.com", "", None),
    2: ("x" * 10 * 1024 * 1024, "p2@example.com", "", "display_name"),
    **{number: (name, f"p{number}@example.com", "", None) for number, name in NAMES.items()},
    7: ("No mail", None, "", "email is required"),
    8: (None, "p8@example.com", "", "display_name is required"),
    9: ("Twice", "p9@example.com", "twice", "returns key 9 2 times"),
    10: ("Not mail", "nonsense", "", "email"),
    11: ("HTML page", "p11@example.com", "", None),
    12: ("Cut off", "p12@example.com", "", None),
    13: ("Code not 0", "p13@example.com", "", "The request was not done"),
    14: ("Good, too", "p14@example.com", "", None),
}
BILLS: dict[int, tuple[int, str, str, str | None]] = {
    # id: (person, amount, day, what the reason says)
    1: (1, "99.95", "2026-01-15", None),
    2: (1, "-5", "2026-01-15", "total"),
    3: (1, "10", "infinity", "cannot be read"),
    4: (1, "10", "20000-01-01", "cannot be read"),
    5: (1, "10", "0044-03-15 BC", "cannot be read"),
    6: (1, "10", "not a day", "cannot be read"),
    7: (1, "10", "1776-07-04", "out of range"),
    8: (1, "NaN", "2026-01-15", "total"),
    9: (1, "0.01", "2026-02-28", None),
    10: (7, "10", "2026-01-15", "waiting for customers 7"),
    11: (99, "10", "2026-01-15", "waiting for customers 99"),
}


async def test_each_bad_row_fails_with_its_reason_and_all_others_are_in_step(
    database_url: str, tmp_path: Path
) -> None:
    script = [
        Fault("html", "POST /customers", contains="p11@"),
        Fault("truncated", "POST /customers", contains="p12@"),
        Fault("refused_200", "POST /customers", contains="p13@"),
        Fault("html", "GET /customers", nth=1),
        Fault("truncated", "GET /customers", nth=2),
    ]
    sandbox = pretend(ShiftedClock(), faults=Faults(script))
    async with shop(tmp_path, database_url, sandbox=sandbox, mapping=TWICE) as here:
        await write(here)
        worker = await here.start()
        await here.past_doubt()
        told = {(row["kind"], int(row["key"])): row for row in await here.rows(RECORDS)}
        for kind, expected in (("customers", PEOPLE), ("invoices", BILLS)):
            for number, row in expected.items():
                judge(told[kind, number], row[-1])
        people = {row["email"]: row for row in sandbox.ledger.records("customers")}
        assert {number: people[f"p{number}@example.com"]["display_name"] for number in NAMES} == {
            number: name.strip() for number, name in NAMES.items()
        }
        bills = {row["invoice_number"]: row["total"] for row in sandbox.ledger.records("invoices")}
        assert bills == {"B-1": Decimal("99.95"), "B-9": Decimal("0.01")}
        assert not any(sandbox.ledger.duplicates().values())
        assert await here.stop(worker) == 0


RECORDS = """
select kind, key, status, error_message, waiting_kind || ' ' || waiting_key as waiting_on
  from zohosync.records where kind in ('customers', 'invoices')
"""


async def write(here: Shop) -> None:
    for number, (name, email, phone, _) in PEOPLE.items():
        await here.execute(
            "insert into public.people values (%(id)s, %(name)s, %(email)s, %(phone)s)",
            id=number, name=name, email=email, phone=phone,
        )  # fmt: skip
    for number, (person, amount, day, _) in BILLS.items():
        await here.execute(
            "insert into public.bills values (%(id)s, %(person)s, %(amount)s, %(day)s)",
            id=number, person=person, amount=amount, day=day,
        )  # fmt: skip


def judge(row: dict[str, Any], reason: str | None) -> None:
    """One record: in step, waiting on the one named, or failed for that reason."""
    if reason is None:
        assert row["status"] == "synced", row
    elif reason.startswith("waiting for "):
        assert (row["status"], row["waiting_on"]) == (
            "waiting",
            reason.removeprefix("waiting for "),
        )
    else:
        assert row["status"] == "failed", row
        assert reason in row["error_message"], row
        assert len(row["error_message"]) <= 1_000
