"""A company whose books are in Zoho already, made by hand or by an earlier script; of any size."""

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import simplejson

from acceptance.kit import ZOHOSYNC
from zohosync.sandbox import Sandbox

SCHEMA = """
create table public.people (id integer primary key, name text, email text, phone text);
create table public.services (id integer primary key, person integer, plan integer);
create table public.bills (
  id integer primary key, person integer, amount numeric(14, 2), day date, note text);
create table public.paid (id integer primary key, bill integer);
"""
MAPPING = {
    "products": "select 1 as key, 'Access' as name",
    "plans": "select n as key, 1 as product_key, 'plan-' || n as plan_code, 'Plan ' || n as name, "
    "100 + n as recurring_price, 1 as interval, 'months' as interval_unit "
    "from generate_series(1, 3) n",
    "customers": "select p.id as key, p.name as display_name, p.email, p.phone "
    "from public.people p",
    "subscriptions": "select s.id as key, s.person as customer_key, s.plan as plan_key, "
    "1 as \"plan.quantity\", date '2099-01-01' as starts_at from public.services s",
    "invoices": "select b.id as key, b.person as customer_key, 'B-' || b.id as invoice_number, "
    "'open' as state, b.day as date, b.day + 30 as due_date, b.amount as total, b.note as notes, "
    "jsonb_build_array(jsonb_build_object('name', 'Goods', 'price', b.amount, 'quantity', 1)) "
    "as invoice_items from public.bills b",
    "payments": "select p.id as key, b.person as customer_key, b.amount, b.day as date, "
    "'cash' as payment_mode, 'P-' || p.id as reference_number, "
    "jsonb_build_array(jsonb_build_object('invoice_key', b.id, 'amount_applied', b.amount)) "
    "as invoices from public.paid p join public.bills b on b.id = p.bill",
}
WATCHES = (
    ("public.people", "customers", "id"),
    ("public.services", "subscriptions", "id"),
    ("public.bills", "invoices", "id"),
    ("public.paid", "payments", "id"),
)


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many there are in Zoho; the ambiguous and the doubled are there twice."""

    customers: int = 8_000
    subscriptions: int = 9_000
    invoices: int = 30_000
    payments: int = 28_000
    ambiguous: int = 200
    double: int = 40
    differing: int = 300

    def scaled(self, scale: float) -> "Sizes":
        """The same company, smaller."""
        return Sizes(*(max(1, round(getattr(self, name) * scale)) for name in self.__slots__))

    @property
    def people(self) -> int:
        """Rows here."""
        return self.customers - self.ambiguous - self.double

    @property
    def plain(self) -> int:
        """Those of them that are one with a customer in Zoho beyond doubt; they come first."""
        return self.people - self.ambiguous - self.double


def fill_sql(sizes: Sizes) -> list[str]:
    """The rows here. E-mails come in capitals and with spaces, too."""
    email = (
        "case n % 3 when 0 then ' Person' || n || '@Example.COM ' "
        "else 'person' || n || '@example.com' end"
    )
    people = f"select n, 'Person ' || n, {email}, '+27 ' || n"
    services = f"select n, 1 + n % {sizes.plain}, 1 + n / {sizes.plain}"
    bills = f"select n, 1 + n % {sizes.plain}, 10 + n % 90, date '2026-01-01' + n % 300"
    return [
        f"insert into public.{table} {rows} from generate_series(1, {count}) n"
        for table, rows, count in (
            ("people", people, sizes.people),
            ("services", services, sizes.subscriptions),
            ("bills", bills, sizes.invoices),
            ("paid", "select n, n", sizes.payments),
        )
    ]


def fill_zoho(sandbox: Sandbox, sizes: Sizes) -> dict[int, str]:
    """What somebody had put into Zoho before; returns the customers' ids by row."""
    body: dict[str, Any]
    plan: dict[str, Any]
    product = sandbox.by_hand("POST", "products", {"name": "Access"})["product"]["product_id"]
    for n in range(1, 4):
        plan = {"plan_code": f"plan-{n}", "name": f"Plan {n}", "recurring_price": 100 + n}
        more = {"interval": 1, "interval_unit": "months", "product_id": product}
        sandbox.by_hand("POST", "plans", {**plan, **more})
    item = sandbox.by_hand("POST", "items", {"name": "Goods", "rate": 1})["item"]["item_id"]
    customers: dict[int, str] = {}
    for n in range(1, sizes.people + 1):
        phone = f"+27 {n}" if n > sizes.differing else "unknown"
        body = {"display_name": f"Person {n}", "email": f"person{n}@example.com", "phone": phone}
        customers[n] = _made(sandbox, "customer", body)
        if n > sizes.people - sizes.double:
            _made(sandbox, "customer", body)
        elif n > sizes.plain:
            _made(sandbox, "customer", {**body, "display_name": f"Somebody {n}"})
    for n in range(1, sizes.subscriptions + 1):
        plan = {"plan_code": f"plan-{1 + n // sizes.plain}", "quantity": 1}
        body = {"customer_id": customers[1 + n % sizes.plain], "plan": plan}
        _made(sandbox, "subscription", {**body, "starts_at": "2099-01-01", "auto_collect": False})
    for n in range(1, sizes.invoices + 1):
        amount, customer_id = 10 + n % 90, customers[1 + n % sizes.plain]
        lines = [{"product_id": item, "name": "Goods", "price": amount, "quantity": 1}]
        day = date(2026, 1, 1) + timedelta(days=n % 300)
        when = {"date": str(day), "due_date": str(day + timedelta(days=30))}
        body = {"customer_id": customer_id, "invoice_number": f"B-{n}", "invoice_items": lines}
        invoice_id = _made(sandbox, "invoice", {**body, **when})
        sandbox.by_hand("POST", f"invoices/{invoice_id}/converttoopen")
        if n <= sizes.payments:
            use = [{"invoice_id": invoice_id, "amount_applied": amount}]
            body = {"customer_id": customer_id, "amount": amount, "date": str(day)}
            _made(sandbox, "payment", {**body, "payment_mode": "cash", "invoices": use})
    return customers


def _made(sandbox: Sandbox, singular: str, body: dict[str, Any]) -> str:
    return str(sandbox.by_hand("POST", f"{singular}s", body)[singular][f"{singular}_id"])


# A child's greatest memory is at least what its parent had as it was started, since both are one
# until it becomes the command; so a small process stands between, and tells of that command alone.
WEIGH = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[2:])
with open(sys.argv[1], "w") as told:
    told.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code)
"""


async def weighed(folder: Path, *arguments: str) -> tuple[dict[str, Any], int]:
    """Run the command in a project, which must end well; its JSON, its greatest memory in KB."""
    weight = folder / "weight"
    asked = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WEIGH, str(weight), *ZOHOSYNC, *arguments, "--project", str(folder),
        "--json", stdin=DEVNULL, stdout=PIPE, stderr=PIPE,
    )  # fmt: skip
    out, err = await asked.communicate()
    assert asked.returncode == 0, (arguments, out[-2_000:], err[-2_000:])
    return simplejson.loads(out.splitlines()[-1]), int(await asyncio.to_thread(weight.read_text))
