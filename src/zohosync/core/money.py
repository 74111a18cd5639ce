"""The money that planned steps would move, exactly, and never two currencies in one sum."""

from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from enum import StrEnum

from zohosync.core.kind import Kind
from zohosync.core.kinds import KINDS
from zohosync.core.mapping import internal_desired
from zohosync.core.records import Claim, Desired, Ref
from zohosync.core.steps import Create, Step, Transition, Update
from zohosync.core.worth import (
    EXACT,
    Amount,
    of_lines,
    places_of,
    priced,
    said_yes,
    value_at,
)

CURRENCY = "currency_code"
"""The field that names a record's currency; a record without it has its parent's."""

ENDING = frozenset({"cancel", "cancel_at_end", "void", "markasinactive"})
"""Operations that end something in Zoho; a topic of its own each."""


class Topic(StrEnum):
    """What happens with money, beside the operations of ENDING."""

    CREATED = "created"
    OPENED = "opened"
    OVERDUE = "overdue"  # of those opened: due before today
    BACKDATED = "backdated"  # starts before today: Zoho may raise an invoice of its own
    ASKED = "backdated_asked"  # of those: the row asks for that invoice
    TWICE = "twice"  # made by us, for something that Zoho raises invoices from


@dataclass(frozen=True, slots=True)
class Sum:
    """So many records and what they come to together.

    `unknown` of them have an amount that is not known, and are not in the sum; of `untaxed` only
    what they come to before tax is known.
    """

    count: int = 0
    amount: Decimal = Decimal(0)
    unknown: int = 0
    untaxed: int = 0

    def plus(self, amount: Amount) -> "Sum":
        """With one record more."""
        if amount.value is None:
            return replace(self, count=self.count + 1, unknown=self.unknown + 1)
        total = EXACT.add(self.amount, amount.value)
        return replace(
            self, count=self.count + 1, amount=total, untaxed=self.untaxed + (not amount.taxed)
        )


Place = tuple[str, str, str]
"""Kind, topic and currency of a sum; the currency is empty where nobody says which it is."""


class Money:
    """Adds up what planned steps would move, record by record; children after their parents.

    Keeps the sums, the prices that parents lend, and the currencies that are not the
    organisation's: never the rows.
    """

    def __init__(self, today: date, currency: str | None) -> None:
        """`today` is the organisation's, `currency` its own, None when not known."""
        self._today = today.isoformat()
        self._home = (currency or "").upper()
        self._currencies: dict[Ref, str] = {}
        self._prices: dict[Ref, Decimal] = {}
        self.sums: dict[Place, Sum] = {}

    def note(self, desired: Desired) -> None:
        """Remember what children of this record take from it."""
        own = str(desired.payload.get(CURRENCY) or "").upper()
        if own and own != self._home:
            self._currencies[desired.ref] = own
        worth = KINDS[desired.ref.kind].worth
        price = priced(worth, desired.payload) if worth and worth.lends else None
        if price is not None:
            self._prices[desired.ref] = price

    def take(self, desired: Desired, claim: Claim, step: Step) -> None:
        """Add what this step, and those that follow it by themselves, would move."""
        kind, made = KINDS[desired.ref.kind], isinstance(step, Create)
        moves = moves_of(kind, step, claim, desired.state)
        if not made and not moves:
            return
        worth, topics = kind.worth, [name for name, _ in moves if name in ENDING]
        if worth is not None:
            if made and worth.made:
                topics.append(Topic.CREATED)
                if any(_raises(slot.parent.kind) for slot in desired.slots):
                    topics.append(Topic.TWICE)
            if worth.issued and worth.issued in [state for _, state in moves]:
                topics.append(Topic.OPENED)
                if self._before_today(desired, worth.due):
                    topics.append(Topic.OVERDUE)
            if made and worth.starts and self._before_today(desired, worth.starts):
                topics.append(Topic.BACKDATED)
                if said_yes(value_at(desired.payload, worth.backdated)):
                    topics.append(Topic.ASKED)
        if not topics:
            return
        currency = self._currency(desired)
        amount = self._amount(desired, currency)
        for topic in topics:
            place = (kind.name, str(topic), currency)
            self.sums[place] = self.sums.get(place, Sum()).plus(amount)

    def of(self, topic: str, kind: str | None = None) -> dict[tuple[str, str], Sum]:
        """The sums of a topic by kind and currency."""
        return {
            (name, currency): found
            for (name, about, currency), found in sorted(self.sums.items())
            if about == topic and kind in (None, name)
        }

    def _before_today(self, desired: Desired, path: str) -> bool:
        day = value_at(desired.payload, path)
        return bool(day) and str(day)[:10] < self._today

    def _currency(self, desired: Desired) -> str:
        own = str(desired.payload.get(CURRENCY) or "").upper()
        lent = (self._currencies.get(slot.parent) for slot in desired.slots)
        return own or next((code for code in lent if code), self._home)

    def _amount(self, desired: Desired, currency: str) -> Amount:
        """The total that the row gives; else what its fields come to, and whether tax is in it."""
        worth, payload = KINDS[desired.ref.kind].worth, desired.payload
        if worth is None:
            return Amount(None)
        if desired.total is not None:
            return Amount(desired.total)
        places = places_of(currency)
        if worth.lines:
            taxed = said_yes(payload.get("is_inclusive_tax")) or not _taxable(desired)
            return Amount(of_lines(worth, payload, places=places), taxed)
        lent = next(
            (self._prices[slot.parent] for slot in desired.slots if slot.parent in self._prices),
            None,
        )
        return Amount(priced(worth, payload, lent=lent, places=places), not worth.starts)


def moves_of(kind: Kind, step: Step, claim: Claim, wanted: str | None) -> list[tuple[str, str]]:
    """The changes of state that a step is, or that follow it: operation and state reached."""
    states, moves = kind.states, list[tuple[str, str]]()
    there = wanted or states.initial
    match step:
        case Create():
            here = states.initial
        case Update(more=True):
            here = claim.remote_state or states.initial
        case Transition(operation=operation, state=here):
            moves.append((operation, here))
        case _:
            return []
    while here != there and len(moves) < 10:
        move = states.next_move(here, there)
        if move is None:
            break
        moves.append(move)
        here = move[1]
    return moves


def _raises(kind: str) -> bool:
    """Whether Zoho raises invoices of its own from records of that kind."""
    worth = KINDS[kind].worth
    return worth is not None and bool(worth.starts)


def _taxable(desired: Desired) -> bool:
    """Whether a line names what only Zoho knows the tax of: a tax, or an item by its SKU."""
    internal = (slot.parent for slot in desired.slots if KINDS[slot.parent.kind].internal)
    return any(internal_desired(parent, "").raised_by == "zoho" for parent in internal)
