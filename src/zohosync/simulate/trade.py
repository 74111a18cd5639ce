"""New rows of the simulated company: people, services, bills and receipts, as forms make them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from zohosync.simulate.picture import (
    CENT,
    NOTHING,
    VAT,
    Bill,
    Line,
    Pen,
    Person,
    Plan,
    Product,
    Receipt,
    Service,
    cents,
    total_of,
)

FIRST = (
    "Thandi", "Sipho", "Zoë", "Johan", "Naledi", "Pieter", "Ayesha", "Annelié", "Bongani", "Seán",
)  # fmt: skip
LAST = ("Nkosi", "Botha", "D'Souza", "Dlamini", "Müller", "O'Brien", "Pillay", "van der Merwe")
CITIES = ("Cape Town", "Durban", "Gqeberha", "Polokwane", "Upington")
WORDS = {
    "installation": (("Standard installation", 125000), ("Trenching, per metre", 8533)),
    "pro_rata": (("Pro-rata subscription", 23129),),
    "equipment": (("Wi-Fi 6 router", 149900), ("Ethernet cable 5 m", 8995)),
    "adjustment": (("Correction of an earlier bill", 18067), ("Call-out", 50000)),
}
"""What stands on each type of bill that we raise, and what it costs in cents, more or less."""
TYPES = tuple(WORDS)
METHODS = ("eft", "card", "cash", "cheque", "debit_order")
HALF_CENT = Decimal("0.005")


def anybody(pen: Pen) -> Person | None:
    """Somebody with whom business may be done."""
    return pen.choose(pen.picture.people, lambda each: pen.picture.living(each.id))


def new_name(pen: Pen) -> str:
    """A name; people may share one."""
    return f"{pen.pick(FIRST)} {pen.pick(LAST)}"


def new_email(pen: Pen) -> str:
    """An address that nobody else has."""
    return f"person{pen.picture.number('email')}@example.com"


def new_phone(pen: Pen) -> str:
    """A telephone number."""
    return f"+27 82 555 {pen.chance.integer(0, 9999):04}"


def new_person(pen: Pen, kind: str = "real") -> Person:
    """Somebody new, with some of the fields empty."""
    return Person(
        id=f"P{pen.picture.number('people'):04}",
        name=new_name(pen),
        email=new_email(pen),
        phone=new_phone(pen) if pen.odds(0.8) else None,
        street=f"{pen.chance.integer(1, 400)} Long Street" if pen.odds(0.7) else None,
        city=pen.pick(CITIES) if pen.odds(0.7) else None,
        kind=kind,
        company_name=f"{pen.pick(LAST)} & Sons (Pty) Ltd" if pen.odds(0.2) else None,
    )


def anew(pen: Pen, person: Person) -> Person:
    """The same person under a new key."""
    new = f"P{pen.picture.number('people'):04}"
    return replace(
        person, id=new, gone=False, left_once=False, moved_on=False, touched=set(), children=0
    )


def new_product(pen: Pen) -> Product:
    """A product."""
    number = pen.picture.number("products")
    return Product(f"product-{number}", f"Product {number}")


def new_plan(pen: Pen, product: Product) -> Plan:
    """A plan of a product."""
    number = pen.picture.number("plans")
    price = Decimal(pen.chance.integer(20, 120)) * 10 + Decimal("9.99")
    return Plan(f"plan-{number}", product.id, f"PLAN-{number:02}", f"Plan {number}", price)


def new_service(pen: Pen, person: Person, status: str = "active") -> Service | None:
    """A service that began up to three weeks ago, at its own price or at its plan's."""
    plan = pen.choose(pen.picture.plans, lambda plan: plan.active and plan.price is not None)
    if plan is None or plan.price is None:
        return None
    plan.used = True
    own = plan.price - Decimal(pen.chance.integer(0, 90)) if pen.odds(0.6) else None
    return Service(
        id=f"S{pen.picture.number('services'):04}",
        person_id=person.id,
        plan_id=plan.id,
        quantity=pen.chance.integer(2, 5) if pen.odds(0.25) else 1,
        price=own,
        starts=pen.today - pen.days(0, 20),
        status=status,
    )


def recurring_bill(pen: Pen, service: Service) -> Bill:
    """The bill that Zoho raises when the subscription is made: its first day, its price and VAT."""
    price = pen.picture.price_of(service) or NOTHING
    lines = [(f"Service {service.id}", Decimal(service.quantity), price)]
    service.recurring = True
    person = pen.picture.people[service.person_id]
    bill = _bill(pen, person, "recurring", lines, status="sent")
    return replace(
        bill, service_id=service.id, issued=service.starts, due=service.starts + timedelta(days=7)
    )


def new_bill(pen: Pen, person: Person, status: str, kind: str | None = None) -> Bill:
    """A bill that we raise, for one or two things."""
    kind = kind or pen.pick(TYPES)
    vat_rate = NOTHING if kind == "adjustment" and pen.odds(0.3) else VAT
    lines = new_lines(pen, kind, vat_rate)
    return _bill(pen, person, kind, lines, status=status, vat_rate=vat_rate)


def _bill(
    pen: Pen, person: Person, kind: str, lines: list[Line], *, status: str, vat_rate: Decimal = VAT
) -> Bill:
    number = pen.picture.number("bills")
    issued = pen.today - pen.days(0, 40)
    return Bill(
        id=number,
        person_id=person.id,
        service_id=None,
        number=f"B-{number:05}",
        type=kind,
        issued=issued,
        due=issued + pen.days(7, 30),
        lines=lines,
        vat_rate=vat_rate,
        total=total_of(lines, vat_rate),
        status=status,
        terms="Payable by EFT" if pen.odds(0.4) else None,
    )


def new_lines(pen: Pen, kind: str, vat_rate: Decimal) -> list[Line]:
    """One to three lines, some with parts of a metre or an hour; never a VAT on half a cent."""
    lines: list[Line] = []
    for _ in range(pen.chance.integer(1, 3) if pen.odds(0.4) else 1):
        name, about = pen.pick(WORDS[kind])
        price = Decimal(about + pen.chance.integer(-2000, 2000)) / 100
        quantity = Decimal(pen.pick((1, 1, 1, 2, 3, 10))) + pen.pick((0, 0, 0, 0, 1)) * CENT * 50
        while _halved(quantity * price) or _halved(cents(quantity * price) * vat_rate / 100):
            price += CENT
        lines.append((name, quantity, price))
    return lines


def _halved(amount: Decimal) -> bool:
    """Whether an amount ends on exactly half a cent, where roundings differ."""
    return amount % CENT == HALF_CENT


def new_receipt(
    pen: Pen, bills: Sequence[Bill], amounts: Sequence[Decimal], status: str = "completed"
) -> Receipt:
    """Money of one person for one or more bills, of the last three days."""
    number = pen.picture.number("receipts")
    return Receipt(
        id=number,
        person_id=bills[0].person_id,
        amount=sum(amounts, NOTHING),
        at=pen.now - timedelta(seconds=pen.chance.integer(0, 3 * 86_400)),
        reference=f"R-{number:06}",
        method=pen.pick(METHODS),
        status=status,
        parts={bill.id: amount for bill, amount in zip(bills, amounts, strict=True)},
        note=f"Received with thanks, {number}" if pen.odds(0.5) else None,
    )
