"""What happens to the sample book while the demo runs, and what must have become of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import simplejson

from zohosync.demo.book import Book, Row, with_vat

Statement = tuple[str, Mapping[str, Any]]

KIND_TABLES = {
    "plans": "service_packages",
    "customers": "customers",
    "subscriptions": "customer_services",
    "invoices": "customer_invoices",
    "payments": "payment_transactions",
}
"""The table whose rows are the records of a kind (products are the packages' service types)."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One edit that arrives while the demo runs: what to say, and what to execute.

    `after` names the (kind, key) of records that have to be synced before it makes its point.
    """

    label: str
    statements: tuple[Statement, ...]
    after: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Expected:
    """What has to become of one kind: counts of rows, and key → reason of those that stay out.

    `ended` were over (cancelled, void, refunded) before they ever were in Zoho: never made there.
    """

    local: int
    eligible: int
    ended: int
    failed: Mapping[str, str]
    waiting: Mapping[str, str]

    @property
    def in_zoho(self) -> int:
        """How many records Zoho must hold in the end."""
        return self.eligible - self.ended - len(self.failed) - len(self.waiting)


def edits(book: Book) -> tuple[Edit, ...]:
    """The edits in the order in which they should arrive; each one's statements in order."""
    return (_burst(book), _newcomer(book), _dearer(book), _cancelled(book), _voided(book))


def expected(book: Book, *, edited: bool = True) -> dict[str, Expected]:
    """Per kind what has to become of the book, with or without the edits."""
    wrong = book.wrong
    invoices = {name: _invoice_of(book, wrong[f"{name}: service"]) for name in _FAULTY_SERVICES}
    failed = {
        "plans": {wrong["plan without price"]: "recurring_price is required"},
        "customers": {wrong["no e-mail"]: "email is required"},
        "subscriptions": {wrong["unknown plan: service"]: "plan_key is empty"},
        "payments": {wrong["payment above its invoice"]: "above the balance of its invoice"},
    }
    waiting: dict[str, dict[str, str]] = {
        "subscriptions": {
            wrong["no e-mail: service"]: f"customers {wrong['no e-mail']}",
            wrong["plan without price: service"]: f"plans {wrong['plan without price']}",
        },
        "invoices": {
            str(row["id"]): f"customers {wrong['no e-mail']}"
            for row in book.rows("customer_invoices", customer_id=UUID(wrong["no e-mail"]))
        },
        "payments": {},
    }
    for name in _FAULTY_SERVICES[1:]:
        service = wrong[f"{name}: service"]
        waiting["invoices"][str(invoices[name]["id"])] = f"subscriptions {service}"
    for name, row in invoices.items():
        parent = f"invoices {row['id']}" if name != "no e-mail" else f"customers {wrong[name]}"
        for payment in book.rows("payment_transactions", customer_invoice_id=row["id"]):
            waiting["payments"][str(payment["id"])] = parent
    fresh = {"customers": 1, "subscriptions": 1, "invoices": 2, "payments": 1} if edited else {}
    families = len({row["service_type"] for row in book.tables["service_packages"]})
    counts = {kind: _counts(book, kind, fresh.get(kind, 0)) for kind in KIND_TABLES}
    counts = {"products": (families, families, 0), **counts}
    return {
        kind: Expected(*numbers, failed.get(kind, {}), waiting.get(kind, {}))
        for kind, numbers in counts.items()
    }


_FAULTY_SERVICES = ("no e-mail", "unknown plan", "plan without price")
_ENDED = {"cancelled", "voided", "refunded"}
_NOT_ELIGIBLE = {
    "customer_services": {"pending"},
    "payment_transactions": {"pending", "failed"},
}


def _counts(book: Book, kind: str, fresh: int) -> tuple[int, int, int]:
    table = KIND_TABLES[kind]
    rows = book.tables[table]
    test = {row["id"] for row in book.rows("customers", account_type="internal_test")}
    owner = "id" if kind == "customers" else "customer_id"
    barred = _NOT_ELIGIBLE.get(table, set())
    eligible = [r for r in rows if r.get(owner) not in test and r.get("status") not in barred]
    ended = sum(row.get("status") in _ENDED for row in eligible)
    return len(rows) + fresh, len(eligible) + fresh, ended


def _invoice_of(book: Book, service: str) -> Row:
    return book.rows("customer_invoices", service_id=UUID(service), invoice_type="recurring")[0]


def _burst(book: Book) -> Edit:
    sql = "update public.customers set phone = %(phone)s where id = %(id)s"
    changes = tuple(
        (sql, {"phone": f"+27 83 {turn:03} {number:04}", "id": row["id"]})
        for turn in range(1, 21)
        for number, row in enumerate(book.tables["customers"][20:25])
    )
    return Edit("A call centre script edits 5 customers 20 times each", changes)


def _dearer(book: Book) -> Edit:
    package = book.tables["service_packages"][1]
    price = package["price"] + 50
    holders = len(book.rows("customer_services", package_id=package["id"]))
    sql = "update public.service_packages set price = %(price)s where id = %(id)s"
    return Edit(
        f"{package['name']} goes up to R{price}: one plan changes, its {holders} subscribers "
        "keep the price that they agreed to",
        ((sql, {"price": price, "id": package["id"]}),),
    )


def _cancelled(book: Book) -> Edit:
    service = book.tables["customer_services"][30]
    invoice = _invoice_of(book, str(service["id"]))
    sql = "update public.customer_services set status = 'cancelled' where id = %(id)s"
    return Edit(
        f"A customer cancels {service['package_name']}",
        ((sql, {"id": service["id"]}),),
        (("subscriptions", str(service["id"])), ("invoices", str(invoice["id"]))),
    )


def _voided(book: Book) -> Edit:
    paid = {row["customer_invoice_id"] for row in book.tables["payment_transactions"]}
    invoice = next(
        row
        for row in book.rows("customer_invoices", status="sent", invoice_type="adjustment")
        if row["id"] not in paid and str(row["customer_id"]) != book.wrong["no e-mail"]
    )
    sql = """
    update public.customer_invoices set status = 'voided', amount_due = 0 where id = %(id)s
    """
    return Edit(
        f"Invoice {invoice['invoice_number']} is voided",
        ((sql, {"id": invoice["id"]}),),
        (("invoices", str(invoice["id"])),),
    )


def _newcomer(book: Book) -> Edit:
    package = book.tables["service_packages"][4]
    customer, service, bill, setup = (
        uuid5(NAMESPACE_URL, f"urn:zohosync:demo:newcomer:{number}") for number in range(4)
    )
    year = book.today.year
    values = {
        "customer": customer, "service": service, "bill": bill, "setup": setup,
        "payment": uuid5(NAMESPACE_URL, "urn:zohosync:demo:newcomer:4"),
        "package": package["id"], "package_name": package["name"], "price": package["price"],
        "service_type": package["service_type"], "today": book.today,
        "account": f"CT-{year}-90001", "transaction": f"NC-{year}-900001",
    }  # fmt: skip
    made: list[Statement] = [(_NEW_CUSTOMER, values), (_NEW_SERVICE, values)]
    for key, kind, name, net in (
        (bill, "recurring", package["name"], package["price"]),
        (setup, "installation", "Standard installation", Decimal("1250.00")),
    ):
        items = [{"description": name, "quantity": 1, "unit_price": net, "amount": net}]
        row = {
            **values, "id": key, "kind": kind, "number": f"INV-{year}-9000{int(kind[0] == 'r')}",
            "items": simplejson.dumps(items, use_decimal=True), "net": net, "gross": with_vat(net),
        }  # fmt: skip
        made.append((_NEW_INVOICE, row))
    paid = {**values, "gross": with_vat(Decimal("1250.00"))}
    made += [(_NEW_PAYMENT, paid), (_PAID, paid)]
    return Edit(
        "Refilwe Maseko signs up in the middle of the backfill, and pays her installation",
        tuple(made),
    )


_NEW_CUSTOMER = """
insert into public.customers
    (id, account_number, account_type, first_name, last_name, email, phone)
values (%(customer)s, %(account)s, 'personal', 'Refilwe', 'Maseko', 'refilwe@example.com',
        '+27 84 555 0001')
"""
_NEW_SERVICE = """
insert into public.customer_services
    (id, customer_id, package_id, package_name, service_type, monthly_price, status,
     activation_date, billing_day)
values (%(service)s, %(customer)s, %(package)s, %(package_name)s, %(service_type)s, %(price)s,
        'active', %(today)s, least(extract(day from %(today)s::date)::integer, 28))
"""
_NEW_INVOICE = """
insert into public.customer_invoices
    (id, customer_id, service_id, invoice_number, invoice_type, invoice_date, due_date, line_items,
     subtotal, tax_amount, total_amount, amount_due, status, is_locked)
values (%(id)s, %(customer)s, %(service)s, %(number)s, %(kind)s, %(today)s::date,
        %(today)s::date + 30, %(items)s::jsonb, %(net)s, %(gross)s::numeric - %(net)s::numeric,
        %(gross)s, %(gross)s, 'sent', true)
"""
_NEW_PAYMENT = """
insert into public.payment_transactions
    (id, transaction_id, provider, payment_method, amount, status, customer_id,
     customer_invoice_id, completed_at)
values (%(payment)s, %(transaction)s, 'payfast', 'credit_card', %(gross)s, 'completed',
        %(customer)s, %(setup)s, (%(today)s::date + time '10:00') at time zone 'UTC')
"""
_PAID = """
update public.customer_invoices set amount_paid = %(gross)s, amount_due = 0, status = 'paid'
 where id = %(setup)s
"""
