"""The sample book: an internet provider's customers, services, invoices and payments, by seed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from importlib.resources import files
from typing import Any
from uuid import UUID, uuid5

import simplejson

from zohosync.clock import Chance

VAT_PERCENT = Decimal(15)
VAT_TAX = "VAT 15"
"""The tax's name in Zoho, as the mapping makes it of the rate; the sandbox must have it."""

Row = dict[str, Any]

_NAMES_UUIDS = UUID("6f0f6a52-3a53-5bb8-9d2c-0d0a54a1c0de")
_CENT = Decimal("0.01")
_NOON = time(10, 0, tzinfo=UTC)  # noon in Johannesburg: the same day in both time zones

_FIRST = (
    "Thandi", "Sipho", "Lerato", "Johan", "Naledi", "Pieter", "Ayesha", "Kabelo", "Zoë", "Bongani",
    "Priya", "Willem", "Nomvula", "Tariq", "Annelié", "Mpho", "Chloé", "Vusi", "Fatima", "Daniël",
)  # fmt: skip
_LAST = (  # with the first names 200 pairs, each used once
    "Nkosi", "Botha", "Naidoo", "Dlamini", "Müller", "Mokoena", "Pillay", "Smith", "Khumalo",
    "Adams",
)  # fmt: skip
_BUSINESS = ("Bakery", "Dental", "Motors", "Attorneys")

# sku, name, service type, price a month without VAT (None: forgotten, on purpose)
_PACKAGES: tuple[tuple[str, str, str, str | None], ...] = (
    ("FIBRE-25", "HomeFibre 25/25", "fibre", "499.00"),
    ("FIBRE-100", "HomeFibre 100/50", "fibre", "699.00"),
    ("FIBRE-200", "HomeFibre 200/100", "fibre", "899.00"),
    ("FIBRE-BIZ", "BizFibre 500", "fibre", "2499.00"),
    ("AIR-20", "AirConnect 20", "wireless", "399.00"),
    ("AIR-50", "AirConnect 50", "wireless", "599.00"),
    ("LTE-100", "LTE 100 GB", "lte", "449.00"),
    ("ADSL-OLD", "ADSL (legacy)", "adsl", None),
)
_OURS = (  # how many invoices of each type we raise, of which drafts, and what stands on them
    ("installation", 110, 6, "Standard installation", "1250.00"),
    ("pro_rata", 60, 4, "Pro-rata subscription", ""),
    ("equipment", 55, 3, "Wi-Fi 6 router", "1499.00"),
    ("adjustment", 35, 3, "Correction of an earlier invoice", "180.00"),
)


@dataclass(slots=True)
class Book:
    """Rows by table, in the order in which foreign keys let them be loaded."""

    today: date
    tables: dict[str, list[Row]]
    wrong: dict[str, str] = field(default_factory=dict)
    """What is wrong on purpose: a name of the fault → the key of the row that has it."""

    def rows(self, table: str, **equal: Any) -> list[Row]:
        """The rows of a table whose columns have these values."""
        return [r for r in self.tables[table] if all(r[n] == v for n, v in equal.items())]


def schema() -> str:
    """The statements that make the book's tables in the schema public of an empty database."""
    return files("zohosync.demo").joinpath("book.sql").read_text(encoding="utf-8")


def build(today: date, seed: int = 1) -> Book:
    """The book as it stands on that day; the same day and seed give the same rows."""
    pen = _Pen(today, Chance(seed))
    pen.packages()
    pen.accounts()
    recurring = pen.services()
    ours = pen.our_invoices()
    pen.pay(recurring, ours)
    pen.wrong_rows()
    return pen.book


def statements(book: Book) -> list[tuple[str, list[tuple[Any, ...]]]]:
    """For each table an INSERT with positional parameters and its rows, parents first."""
    made = []
    for table, rows in book.tables.items():
        columns = list(rows[0])
        marks = ", ".join("%s::jsonb" if name == "line_items" else "%s" for name in columns)
        sql = f"insert into public.{table} ({', '.join(columns)}) values ({marks})"  # noqa: S608
        made.append((sql, [tuple(row[name] for name in columns) for row in rows]))
    return made


def with_vat(net: Decimal) -> Decimal:
    """The amount with VAT, to the cent."""
    return net + (net * VAT_PERCENT / 100).quantize(_CENT, ROUND_HALF_UP)


@dataclass(slots=True)
class _Pen:
    """Writes the book; every id and number follows from the order of writing."""

    today: date
    chance: Chance
    book: Book = field(init=False)

    def __post_init__(self) -> None:
        names = ("service_packages", "customers", "customer_services", "customer_invoices",
                 "payment_transactions")  # fmt: skip
        self.book = Book(self.today, {name: [] for name in names})

    def packages(self) -> None:
        for sku, name, service_type, price in _PACKAGES:
            self.add("service_packages", sku=sku, name=name, description=f"{name}, uncapped",
                     service_type=service_type, price=Decimal(price) if price else None,
                     active=True)  # fmt: skip

    def accounts(self) -> None:
        for number in range(200):
            first = _FIRST[number % len(_FIRST)]
            last = _LAST[number // len(_FIRST)]
            business = f"{last} {_BUSINESS[number % 4]} {number}" if number % 9 == 0 else None
            self.customer(first, last, business=business)
        shared, same = self.book.tables["customers"][:2], self.book.tables["customers"][2:4]
        shared[1]["email"] = shared[0]["email"]  # two people, one address: two customers
        same[1].update(first_name=same[0]["first_name"], last_name=same[0]["last_name"])
        self.book.wrong["same e-mail"] = str(shared[1]["id"])
        for last in ("Vosloo", "Zulu"):
            self.customer("Marié", last, account_status="closed")

    def services(self) -> list[Row]:
        """The services; gives the recurring invoices that Zoho raises from them."""
        customers = self.book.tables["customers"][:200]
        made = [self.service(customer, self.package()) for customer in customers]
        for number in range(12):  # two equal plans; six of them even from the same day on
            first = made[10 + number]
            self.service(customers[10 + number], self.by_id(first["package_id"]),
                         day=first["activation_date"] if number % 2 else None)  # fmt: skip
        for number in range(34):
            self.service(customers[40 + number], self.package())
        for service in self.book.tables["customer_services"][60:64]:
            service["status"] = "suspended"
        live = list(self.book.tables["customer_services"])
        for number in range(5):
            self.service(customers[100 + number], self.package(), status="pending")
        for number in range(2):
            self.service(customers[110 + number], self.package(), status="cancelled")
        return [self.recurring(service) for service in live]

    def our_invoices(self) -> list[Row]:
        """The open invoices that we raise, 16 drafts and 3 voided ones aside."""
        services = self.book.tables["customer_services"]
        opened: list[Row] = []
        for kind, count, drafts, name, price in _OURS:
            for number in range(count):
                service = services[(number * 7 + len(opened)) % 246]
                lines = [(name, 1, Decimal(price) if price else self.pro_rata(service))]
                if kind == "installation" and number % 3 == 0:
                    lines.append(("Trenching, per metre", 2 + number % 5, Decimal("85.00")))
                draft = number < drafts
                row = self.invoice(service, kind, lines, "draft" if draft else "sent")
                if not draft:
                    opened.append(row)
        for service in services[:3]:
            self.invoice(service, "adjustment", [("Billed in error", 1, Decimal(95))], "voided")
        return opened

    def pay(self, recurring: Sequence[Row], ours: Sequence[Row]) -> None:
        """455 payments that are right, and seven that are none (yet, or any more)."""
        for row in [*recurring[:225], *ours[:190]]:
            self.payment(row, row["total_amount"])
        for number, row in enumerate(ours[190:210]):
            half = (row["total_amount"] / 2).quantize(_CENT, ROUND_HALF_UP)
            self.payment(row, half)
            rest = row["total_amount"] - half
            self.payment(row, rest if number % 2 else rest - Decimal(10))
        for row, status in zip(ours[210:217], (*["pending"] * 3, *["failed"] * 3, "refunded"),
                               strict=True):  # fmt: skip
            self.payment(row, row["total_amount"], status=status)

    def wrong_rows(self) -> None:
        """The rows that cannot be synced, each with all that hangs on it."""
        packages = self.book.tables["service_packages"]
        nobody = self.customer("Gugu", "Sithole", email=None)
        test = self.customer("Test", "Account", account_type="internal_test")
        customers = self.book.tables["customers"]
        cases = (
            ("no e-mail", self.service(nobody, packages[0])),
            ("internal_test", self.service(test, packages[0])),
            ("unknown plan", self.service(customers[120], None)),
            ("plan without price", self.service(customers[121], packages[7])),
        )
        for fault, service in cases:
            row = self.recurring(service)
            self.payment(row, row["total_amount"])
            self.book.wrong[f"{fault}: service"] = str(service["id"])
        self.book.wrong["no e-mail"] = str(nobody["id"])
        self.book.wrong["plan without price"] = str(packages[7]["id"])
        services = self.book.tables["customer_services"]
        line = ("Call-out", 1, Decimal("500.00"))
        self.invoice(cases[0][1], "adjustment", [line], "sent")
        over = self.invoice(services[5], "adjustment", [line], "sent")
        payment = self.payment(over, over["total_amount"] + 100)
        self.book.wrong["payment above its invoice"] = str(payment["id"])

    # ---------------------------------------------------------------------- one row

    def customer(self, first: str, last: str, *, business: str | None = None, **more: Any) -> Row:
        number = len(self.book.tables["customers"]) + 1
        row = {
            "account_number": f"CT-{self.today.year}-{number:05}",
            "account_type": "business" if business else "personal",
            "account_status": "active",
            "first_name": first,
            "last_name": last,
            "business_name": business,
            "email": f"customer{number:03}@example.com",
            "phone": f"+27 82 555 {number:04}",
        }
        return self.add("customers", **{**row, **more})

    def service(
        self, customer: Row, package: Row | None, *, status: str = "active", day: date | None = None
    ) -> Row:
        """`day` None draws a day of this month, not more than 20 days back."""
        start = day or self.today - timedelta(
            days=self.chance.integer(0, min(self.today.day - 1, 20))
        )
        return self.add(
            "customer_services",
            customer_id=customer["id"],
            package_id=package["id"] if package else None,
            package_name=package["name"] if package else "Fibre special (by hand)",
            service_type=package["service_type"] if package else "fibre",
            monthly_price=(package["price"] if package else None) or Decimal("349.00"),
            status=status,
            activation_date=None if status == "pending" else start,
            billing_day=min(start.day, 28),
        )

    def recurring(self, service: Row) -> Row:
        """The invoice that Zoho raises when the subscription is made: same day, price with VAT."""
        line = (f"{service['package_name']}, {self.today:%B %Y}", 1, service["monthly_price"])
        return self.invoice(service, "recurring", [line], "sent", day=service["activation_date"])

    def invoice(
        self, service: Row, kind: str, lines: Sequence[tuple[str, int, Decimal]], status: str, *,
        day: date | None = None,
    ) -> Row:  # fmt: skip
        number = len(self.book.tables["customer_invoices"]) + 1
        issued = day or self.today - timedelta(days=self.chance.integer(0, 45))
        net = sum((price * quantity for _, quantity, price in lines), Decimal(0))
        total = with_vat(net)
        items = [
            {"description": name, "quantity": quantity, "unit_price": price,
             "amount": price * quantity}
            for name, quantity, price in lines
        ]  # fmt: skip
        late = status == "sent" and issued + timedelta(days=30) < self.today
        return self.add(
            "customer_invoices",
            customer_id=service["customer_id"],
            service_id=service["id"],
            invoice_number=f"INV-{self.today.year}-{number:05}",
            invoice_type=kind,
            invoice_date=issued,
            due_date=issued + timedelta(days=30),
            line_items=simplejson.dumps(items, use_decimal=True),
            vat_rate=VAT_PERCENT,
            subtotal=net,
            tax_amount=total - net,
            total_amount=total,
            amount_paid=Decimal(0),
            amount_due=Decimal(0) if status == "voided" else total,
            status="overdue" if late else status,
            is_locked=status != "draft",
        )

    def payment(self, invoice: Row, amount: Decimal, *, status: str = "completed") -> Row:
        number = len(self.book.tables["payment_transactions"]) + 1
        late = (self.today - invoice["invoice_date"]).days
        day = invoice["invoice_date"] + timedelta(days=self.chance.integer(0, late))
        if status == "completed":
            invoice["amount_paid"] += amount
            invoice["amount_due"] -= amount
            invoice["status"] = "paid" if invoice["amount_due"] <= 0 else "partial"
        return self.add(
            "payment_transactions",
            transaction_id=f"NC-{self.today.year}-{number:06}",
            reference=invoice["invoice_number"],
            provider="netcash" if number % 4 else "payfast",
            payment_method=("debit_order", "eft", "credit_card", "cash")[number % 4],
            amount=amount,
            status=status,
            customer_id=invoice["customer_id"],
            customer_invoice_id=invoice["id"],
            completed_at=datetime.combine(day, _NOON) if status == "completed" else None,
        )

    # ------------------------------------------------------------------- small things

    def add(self, table: str, **columns: Any) -> Row:
        rows = self.book.tables[table]
        row = {"id": uuid5(_NAMES_UUIDS, f"{table}/{len(rows) + 1}"), **columns}
        rows.append(row)
        return row

    def package(self) -> Row:
        return self.book.tables["service_packages"][self.chance.integer(0, 6)]

    def by_id(self, package_id: UUID) -> Row:
        return self.book.rows("service_packages", id=package_id)[0]

    def pro_rata(self, service: Row) -> Decimal:
        """A part of a month, to the cent; never one whose VAT would end on half a cent."""
        part = service["monthly_price"] * self.chance.integer(3, 27) / 30
        cents = int((part * 100).to_integral_value(ROUND_HALF_UP))
        return Decimal(cents + (cents % 20 == 10)) / 100
