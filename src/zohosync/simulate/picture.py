"""What the simulated company knows of its own rows, and the pen that writes one transaction."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, ClassVar, TypeVar
from zoneinfo import ZoneInfo

import simplejson

from zohosync.clock import Chance

CENT = Decimal("0.01")
NOTHING = Decimal(0)
VAT = Decimal(15)
COLUMNS: Mapping[str, str] = {
    "products": "id name active",
    "plans": "id product_id code name price active",
    "people": "id name email phone street city kind closed company_name",
    "services": "id person_id plan_id quantity price starts status",
    "bills": "id person_id service_id number type issued due lines vat_rate total status terms",
    "receipts": "id person_id amount at reference method status note",
}
"""The columns of each table that is kept here; receipt_parts come with their receipts."""
Line = tuple[str, Decimal, Decimal]
"""What stands on a bill: name, quantity, price of one without VAT."""
Statement = tuple[str, Mapping[str, Any]]
T = TypeVar("T")


@dataclass(slots=True)
class Product:
    """A row of products. `wrong` says what is wrong with a row now, `excused` what was for good."""

    table: ClassVar[str] = "products"
    id: str
    name: str
    active: bool = True
    wrong: str | None = None
    excused: str | None = None


@dataclass(slots=True)
class Plan:
    """A row of plans."""

    table: ClassVar[str] = "plans"
    id: str
    product_id: str
    code: str
    name: str
    price: Decimal | None
    active: bool = True
    used: bool = False
    wrong: str | None = None
    excused: str | None = None


@dataclass(slots=True)
class Person:
    """A row of people; `gone` says that it is deleted, `touched` what was changed of it ever."""

    table: ClassVar[str] = "people"
    id: str
    name: str
    email: str | None
    phone: str | None
    street: str | None
    city: str | None
    kind: str = "real"
    closed: bool = False
    company_name: str | None = None
    gone: bool = False
    left_once: bool = False
    moved_on: bool = False
    touched: set[str] = field(default_factory=set)
    children: int = 0
    wrong: str | None = None
    excused: str | None = None


@dataclass(slots=True)
class Service:
    """A row of services; `seen` are the terms that it had while it was active and right."""

    table: ClassVar[str] = "services"
    id: str
    person_id: str
    plan_id: str | None
    quantity: int
    price: Decimal | None
    starts: date
    status: str = "active"
    recurring: bool = False
    seen: list[Any] = field(default_factory=list)
    wrong: str | None = None
    excused: str | None = None


@dataclass(slots=True)
class Bill:
    """A row of bills; `used` is what receipts claim of it, `seen` the contents that it had."""

    table: ClassVar[str] = "bills"
    id: int
    person_id: str
    service_id: str | None
    number: str
    type: str
    issued: date
    due: date
    lines: list[Line]
    vat_rate: Decimal
    total: Decimal
    status: str
    terms: str | None = None
    used: Decimal = NOTHING
    edited: bool = False
    seen: list[Any] = field(default_factory=list)
    wrong: str | None = None
    excused: str | None = None

    @property
    def left(self) -> Decimal:
        """What no receipt claims yet."""
        return self.total - self.used


@dataclass(slots=True)
class Receipt:
    """A row of receipts; `claims` are the parts that it has when nothing is wrong with it."""

    table: ClassVar[str] = "receipts"
    id: int
    person_id: str
    amount: Decimal
    at: datetime
    reference: str
    method: str
    status: str
    parts: dict[int, Decimal]
    note: str | None = None
    claims: dict[int, Decimal] = field(default_factory=dict)
    lost: bool = False
    wrong: str | None = None
    excused: str | None = None


Row = Product | Plan | Person | Service | Bill | Receipt


def cents(number: Decimal) -> Decimal:
    """Rounded half up to the cent."""
    return number.quantize(CENT, ROUND_HALF_UP)


def total_of(lines: Sequence[Line], vat_rate: Decimal) -> Decimal:
    """The total of a bill: each line and its VAT rounded half up by itself, as Zoho does."""
    nets = [cents(quantity * price) for _, quantity, price in lines]
    return sum((net + cents(net * vat_rate / 100) for net in nets), NOTHING)


@dataclass(slots=True)
class Picture:
    """All rows as the company wrote them, with what is still to be put right."""

    products: dict[str, Product] = field(default_factory=dict)
    plans: dict[str, Plan] = field(default_factory=dict)
    people: dict[str, Person] = field(default_factory=dict)
    services: dict[str, Service] = field(default_factory=dict)
    bills: dict[int, Bill] = field(default_factory=dict)
    receipts: dict[int, Receipt] = field(default_factory=dict)
    mends: list[tuple[Row, dict[str, Any]]] = field(default_factory=list)
    follow: list[tuple[str, Callable[["Pen"], None]]] = field(default_factory=list)
    truncated: bool = False
    big_day: bool = False
    last: dict[str, int] = field(default_factory=dict)

    def shelf(self, row: Row) -> dict[Any, Any]:
        """The rows of that row's table by id."""
        shelf: dict[Any, Any] = getattr(self, row.table)
        return shelf

    def number(self, what: str) -> int:
        """The next number of a series."""
        self.last[what] = self.last.get(what, 0) + 1
        return self.last[what]

    def price_of(self, service: Service) -> Decimal | None:
        """What one costs: the service's own price, else its plan's."""
        if service.price is not None or service.plan_id is None:
            return service.price
        return self.plans[service.plan_id].price

    def living(self, person_id: str) -> bool:
        """Whether new business may be done with that person."""
        person = self.people[person_id]
        return not (
            person.gone or person.closed or person.moved_on or person.wrong or person.excused
        )


@dataclass(slots=True)
class Pen:
    """Writes one transaction, in the picture and as statements."""

    picture: Picture
    chance: Chance
    now: datetime
    zone: ZoneInfo
    statements: list[Statement] = field(default_factory=list)

    @property
    def today(self) -> date:
        """The day in the company's time zone."""
        return self.now.astimezone(self.zone).date()

    # --------------------------------------------------------------------------- chance

    def pick(self, rows: Sequence[T]) -> T:
        """One of them."""
        return rows[self.chance.integer(0, len(rows) - 1)]

    def odds(self, chance: float) -> bool:
        """True as often as said."""
        return self.chance.random() < chance

    def days(self, low: int, high: int) -> timedelta:
        """A number of days."""
        return timedelta(days=self.chance.integer(low, high))

    def choose(
        self,
        rows: Mapping[Any, T],
        fits: Callable[[T], bool],
        prefer: Callable[[T], bool] | None = None,
    ) -> T | None:
        """A row that fits, mostly one of the preferred; None when there is none."""
        found = [row for row in rows.values() if fits(row)]
        if prefer is not None and self.odds(0.9):
            found = [row for row in found if prefer(row)] or found
        return self.pick(found) if found else None

    # -------------------------------------------------------------------------- writing

    def put(self, *rows: Row) -> None:
        """Insert new rows, all of one table."""
        for row in rows:
            self.picture.shelf(row)[row.id] = row
            match row:
                case Service() | Bill():
                    self.picture.people[row.person_id].children += 1
                case Receipt():
                    row.claims = row.claims or dict(row.parts)
                    for bill_id, amount in row.claims.items():
                        self.picture.bills[bill_id].used += amount
            self._note(row)
        self.insert(rows)

    def insert(self, rows: Sequence[Row]) -> None:
        """The statements that put these rows, all of one table, in the database."""
        self._insert(
            rows[0].table,
            [{n: getattr(row, n) for n in COLUMNS[row.table].split()} for row in rows],
        )
        parts = [
            {"receipt_id": row.id, "bill_id": bill_id, "amount": amount}
            for row in rows
            if isinstance(row, Receipt)
            for bill_id, amount in row.parts.items()
        ]
        if parts:
            self._insert("receipt_parts", parts)

    def _insert(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        text = f"insert into public.{table} select * from jsonb_populate_recordset(null::public.{table}, %(rows)s::jsonb)"  # noqa: E501, S608
        self.say(text, rows=_json([{**row, **_plain(row)} for row in rows]))

    def change(self, row: Row, **fields: Any) -> None:
        """Update these columns of a row (and the parts of a receipt)."""
        for name, value in fields.items():
            setattr(row, name, value)
        columns = [name for name in fields if name in COLUMNS[row.table].split()]
        if columns:
            sets = ", ".join(
                f"{name} = %({name})s" + ("::jsonb" if name == "lines" else "") for name in columns
            )
            values = {name: fields[name] for name in columns}
            if "lines" in values:
                values["lines"] = _json(_plain(values)["lines"])
            text = f"update public.{row.table} set {sets} where id = %(id)s"  # noqa: S608
            self.say(text, **values, id=row.id)
        if "parts" in fields:
            self.say("delete from public.receipt_parts where receipt_id = %(id)s", id=row.id)
            parts = fields["parts"].items()
            self._insert(
                "receipt_parts",
                [{"receipt_id": row.id, "bill_id": b, "amount": amount} for b, amount in parts],
            )
        self._note(row)

    def change_all(self, rows: Sequence[Row], column: str, value: Any) -> None:
        """One UPDATE of one column of many rows of one table."""
        for row in rows:
            setattr(row, column, value)
            self._note(row)
        ids = [row.id for row in rows]
        text = f"update public.{rows[0].table} set {column} = %(value)s where id = any(%(ids)s)"  # noqa: S608
        self.say(text, value=value, ids=ids)

    def drop(self, row: Row) -> None:
        """Delete a row; a person's stays in the picture, for it may come back."""
        self.say(f"delete from public.{row.table} where id = %(id)s", id=row.id)  # noqa: S608
        if isinstance(row, Person):
            row.gone = row.left_once = True
            return
        if isinstance(row, Receipt):
            self.say("delete from public.receipt_parts where receipt_id = %(id)s", id=row.id)
            for bill_id, amount in row.claims.items():
                self.picture.bills[bill_id].used -= amount
        del self.picture.shelf(row)[row.id]

    def spoil(self, row: Row, reason: str, **wrong: Any) -> None:
        """Make a row wrong; what it was is remembered, to be put right later.

        One that is not there yet is put afterwards.
        """
        self.picture.mends.append((row, {name: getattr(row, name) for name in wrong}))
        row.wrong = reason
        if self.picture.shelf(row).get(row.id) is row:
            self.change(row, **wrong)
            return
        for name, value in wrong.items():
            setattr(row, name, value)

    def mend(self, row: Row, right: Mapping[str, Any]) -> None:
        """Put a wrong row right."""
        row.wrong = None
        self.change(row, **right)

    def say(self, text: str, **params: Any) -> None:
        """One more statement of the transaction."""
        self.statements.append((text, params))

    def _note(self, row: Row) -> None:
        """Remember each content that Zoho may have been given of this row."""
        match row:
            case Service(wrong=None) if row.status != "pending":
                content = (row.plan_id, row.quantity, self.picture.price_of(row))
                if content not in row.seen:
                    row.seen.append(content)
            case Bill():
                content_ = (tuple(row.lines), row.total, row.due, row.terms)
                if content_ not in row.seen:
                    row.seen.append(content_)
            case Plan():
                followers = self.picture.services.values()
                for service in [s for s in followers if s.plan_id == row.id]:
                    self._note(service)
            case _:
                pass


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """The lines of a bill as its column holds them."""
    if "lines" not in values:
        return {}
    names = ("name", "quantity", "unit_price")
    return {"lines": [dict(zip(names, line, strict=True)) for line in values["lines"]]}


def _json(value: Any) -> str:
    return simplejson.dumps(value, use_decimal=True, default=str)
