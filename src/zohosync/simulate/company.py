"""The simulated company: its tables, and what happens in them, drawn by chance from one seed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

from zohosync.clock import Chance
from zohosync.core.kinds import MAPPED
from zohosync.simulate.acts import ACTS, found
from zohosync.simulate.clerks import restore
from zohosync.simulate.picture import Bill, Pen, Picture, Service, Statement
from zohosync.store.capture import Watch

_HERE = files("zohosync.simulate")

SCHEMA: str = (_HERE / "company.sql").read_text(encoding="utf-8")
"""The statements that make the company's tables."""

MAPPING: Mapping[str, str] = {
    kind: (_HERE / "mapping" / f"{kind}.sql").read_text(encoding="utf-8") for kind in MAPPED
}
"""The SELECT of each kind."""

# Which people came, went or changed their kind: nothing else of them is read by other kinds.
_PEOPLE = "(select id from changed group by id having count(*) = 1 or count(distinct kind) > 1)"

WATCHES: tuple[Watch, ...] = (
    Watch("public.products", "products", key="id"),
    Watch("public.plans", "plans", key="id"),
    Watch("public.people", "customers", key="id"),
    Watch("public.services", "subscriptions", key="id"),
    Watch("public.bills", "invoices", key="id"),
    Watch("public.receipts", "payments", key="id"),
    Watch("public.receipt_parts", "payments", key="receipt_id"),
    Watch(
        "public.plans",
        "subscriptions",
        keys="select s.id from public.services s join changed c on c.id = s.plan_id "
        "where s.price is null",
    ),
    *(
        Watch(
            "public.people",
            kind,
            keys=f"select t.id from public.{table} t join {_PEOPLE} c on c.id = t.person_id",  # noqa: S608
        )
        for table, kind in (
            ("services", "subscriptions"),
            ("bills", "invoices"),
            ("receipts", "payments"),
        )
    ),
)
"""The tables and what depends on them."""

_SHELVES = {
    "products": "products",
    "plans": "plans",
    "customers": "people",
    "subscriptions": "services",
    "invoices": "bills",
    "payments": "receipts",
}
_COUNTED = ("invoices", "payments")

FOLLOW_ODDS = 0.5
MEND_ODDS = 0.75
"""How much of what is wrong is put right in the end; the rest stays wrong."""


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that happens: its name, and the statements of its one transaction."""

    name: str
    statements: tuple[Statement, ...]


class Company:
    """A company's application and its staff; the same seed does the same."""

    def __init__(self, chance: Chance, time_zone: str = "Africa/Johannesburg") -> None:
        """Nothing has happened yet: begin with `founding`."""
        self._chance = chance
        self._zone = ZoneInfo(time_zone)
        self._picture = Picture()
        self._weight = sum(weight for weight, _, _ in ACTS)
        self.anew: set[str] = set()  # people of whom somebody said that they are somebody else

    @property
    def picture(self) -> Picture:
        """All rows as the company wrote them."""
        return self._picture

    def founding(self, now: datetime) -> Act:
        """The first rows: products, plans, a dozen people with services, bills and receipts."""
        return self._written("founding", found, now)

    def apart(self, name: str, write: Callable[[Pen], None], now: datetime, chance: Chance) -> Act:
        """Something that is not drawn from the table; by a chance of its own."""
        return self._written(name, write, now, chance)

    def act(self, now: datetime) -> Act:
        """The next thing that happens."""
        follow = self._picture.follow
        while True:
            if follow and self._chance.random() < FOLLOW_ODDS:
                name, write = follow.pop(0)
            else:
                name, write = self._drawn()
            act = self._written(name, write, now)
            if act.statements:
                return act

    def mend(self, now: datetime) -> list[Act]:
        """Put right most of what is wrong: what was truncated, and rows with a fault.

        What is left wrong has an excuse.
        """
        acts = [self._written("restores from the backup", restore, now)]
        for each in list(self._picture.mends):
            if self._chance.random() < MEND_ODDS:
                self._picture.mends.remove(each)
                row, right = each
                acts.append(
                    self._written("mends a row", partial(Pen.mend, row=row, right=right), now)
                )
        return [act for act in acts if act.statements]

    def seen_away(self) -> None:
        """All rows of a kind will not be seen for a while: who is back must be who was there."""
        for person in self._picture.people.values():
            person.left_once = True

    def excuse(self, kind: str, key: str) -> str | None:
        """Why this row need not equal Zoho in the end, or None: it must.

        Of a row whose parent is excused nothing is said here.
        """
        shelf: Mapping[Any, Any] = getattr(self._picture, _SHELVES.get(kind, ""), {})
        row: Any = shelf.get(int(key) if kind in _COUNTED and key.isdecimal() else key)
        if row is None:
            return None
        if row.wrong or row.excused:
            return str(row.wrong or row.excused)
        if getattr(row, "person_id", None) in self.anew:
            return "it was another's in Zoho before its customer was made anew, and stays so"
        match row:
            case Service(status="cancelled") if len(row.seen) > 1:
                return "changed before it was cancelled: a cancelled one is not changed any more"
            case Bill(status="voided") if len(row.seen) > 1:
                return "changed before it was voided: a void one is not changed any more"
            case Bill(type="recurring"):
                service = self._picture.services[str(row.service_id)]
                if service.status == "cancelled" or len(service.seen) > 1:
                    return "its service was changed: Zoho may have raised another invoice, or none"
        return None

    def _drawn(self) -> tuple[str, Callable[[Pen], None]]:
        at = self._chance.integer(1, self._weight)
        for weight, name, write in ACTS:
            at -= weight
            if at <= 0:
                return name, write
        raise AssertionError("the weights do not add up")

    def _written(
        self, name: str, write: Callable[[Pen], None], now: datetime, chance: Chance | None = None
    ) -> Act:
        pen = Pen(self._picture, chance or self._chance, now, self._zone)
        write(pen)
        return Act(name, tuple(pen.statements))
