"""A company that is in Zoho already is compared and linked, over a real socket; nothing doubles.

`ZOHOSYNC_BOOKS=1 make test ARGS="-k books_of_a_company -s"` takes the whole company (8,000
customers, 30,000 invoices) and tells what it took; else it is a fortieth of it.
"""

import os
import sys
from math import ceil
from pathlib import Path
from typing import Any

import pytest

from acceptance.books import MAPPING, SCHEMA, WATCHES, Sizes, fill_sql, fill_zoho, weighed
from acceptance.kit import ShiftedClock, Shop, pretend, shop, zohosync

pytestmark = pytest.mark.acceptance
LISTED = ("products", "plans", "customers", "subscriptions", "invoices")
MEMORY_MAX_KB = 200 * 1024


async def test_the_books_of_a_company_are_linked_without_a_write_or_a_doubt(
    database_url: str, tmp_path: Path
) -> None:
    sizes = Sizes().scaled(float(os.environ.get("ZOHOSYNC_BOOKS", "0.025")))
    sandbox = pretend(ShiftedClock())
    customers = fill_zoho(sandbox, sizes)
    held = {kind: sandbox.ledger.records(kind) for kind in (*LISTED, "payments")}
    project: dict[str, Any] = {"mapping": MAPPING, "watches": WATCHES, "schema": SCHEMA}
    async with shop(tmp_path, database_url, sandbox=sandbox, **project) as here:
        await here.execute(*fill_sql(sizes))
        linked, linking_kb = await weighed(here.folder, "compare", "--link")
        _right(linked, sizes, held)
        links = await here.rows(
            "select key, zoho_id from zohosync.links "
            "where kind = 'customers' and zoho_id is not null"
        )
        assert {int(row["key"]): row["zoho_id"] for row in links} == {
            n: zoho_id for n, zoho_id in customers.items() if n <= sizes.plain
        }
        again, comparing_kb = await weighed(here.folder, "compare")
        used_kb = max(linking_kb, comparing_kb)
        for kind in MAPPING:
            assert again["kinds"][kind]["counts"]["differs"] == 0, kind
            assert again["kinds"][kind]["calls"] == linked["kinds"][kind]["calls"], kind
        await zohosync(here.folder, "run", "--until-idle")
        assert not writes(here), "a fresh link sends nothing, and nothing in doubt is made"
        await one_edit_is_one_update(here, customers)
        calls = {kind: each["calls"] for kind, each in linked["kinds"].items()}
        sys.stdout.write(f"\ncalls {calls}, {used_kb:,} KB\n")
        assert used_kb <= MEMORY_MAX_KB


def _right(told: dict[str, Any], sizes: Sizes, held: dict[str, Any]) -> None:
    """Every row is sorted as it was made, at the price that was promised."""
    kinds = told["kinds"]
    for kind in LISTED:
        assert kinds[kind]["calls"] <= ceil(len(held[kind]) / 200) + 5, kind
        assert kinds[kind]["seen"] == len(held[kind])
    counts = {kind: each["counts"] for kind, each in kinds.items()}
    assert counts["customers"]["ambiguous"] == sizes.ambiguous
    assert counts["customers"]["double"] == sizes.double
    assert kinds["customers"]["linked_now"] == sizes.plain
    assert kinds["customers"]["differed"] == min(sizes.differing, sizes.plain)
    assert kinds["subscriptions"]["linked_now"] == sizes.subscriptions
    assert kinds["invoices"]["linked_now"] == sizes.invoices
    assert counts["payments"]["ambiguous"] == sizes.payments, "what was paid is not paid again"
    assert kinds["payments"]["calls"] == 0


async def one_edit_is_one_update(here: Shop, customers: dict[int, str]) -> None:
    """Of a customer, and of an invoice: whose lines were never ours, and stay as they are."""
    before = {kind: here.sandbox.ledger.records(kind) for kind in ("customers", "invoices")}
    await here.execute("update public.people set phone = '+1' where id = 2")
    await zohosync(here.folder, "run", "--until-idle")
    assert writes(here) == ["PUT /customers/{customer_id}"]
    unpaid = await here.value("select max(id) from public.bills")
    await here.execute(f"update public.bills set note = 'gone up' where id = {unpaid}")
    await zohosync(here.folder, "run", "--until-idle")
    assert writes(here)[1:] == ["PUT /invoices/{invoice_id}"], await here.story()
    changed = _changes(here, before)
    assert [(kind, set(fields)) for kind, _, fields in changed] == [
        ("customers", {"phone", "updated_time"}), ("invoices", {"notes", "updated_time"}),
    ]  # fmt: skip
    assert changed[0][1] == customers[2]


def _changes(here: Shop, before: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    found = []
    for kind, rows in before.items():
        name = f"{kind.removesuffix('s')}_id"
        now = {row[name]: row for row in here.sandbox.ledger.records(kind)}
        assert len(now) == len(rows)
        for row in rows:
            fields = {key: now[row[name]][key] for key in row if now[row[name]][key] != row[key]}
            if fields:
                found.append((kind, row[name], fields))
    return found


def writes(here: Shop) -> list[str]:
    return [
        call.operation
        for call in here.sandbox.ledger.calls()
        if not call.operation.startswith("GET")
    ]
