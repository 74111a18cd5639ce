"""What a record is worth: which fields of a kind are its money, and what they come to."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal, Inexact, InvalidOperation
from typing import Any

from zohosync.core.records import Payload

EXACT = Context(prec=400, traps=[Inexact, InvalidOperation])
"""Sums and products of numbers that a payload may hold are exact in it, or an error."""

_ROUNDED = Context(prec=400, rounding=ROUND_HALF_UP)
DIGITS_MAX = 60
"""Digits of a number in a line, before or after its point; one with more is not reckoned with."""

_WHOLE = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
_THIRDS = "BHD IQD JOD KWD LYD OMR TND"
_TRUE = frozenset({"true", "t", "yes", "y", "1"})


@dataclass(frozen=True, slots=True)
class Worth:
    """Where a kind's money stands, by dotted fields of its payload, and what it sets off.

    A record is worth `price` (times `times`), or the sum of its `lines`. `made`: to create it is
    to bill or to book money. `lends`: its children are worth its price where they name none.
    In the state `issued` it is owed, from the day `due` on overdue. From `starts` on Zoho raises
    invoices of its own for it, `backdated` asks for one of the past.
    """

    price: str = ""
    times: str = ""
    lines: str = ""
    made: bool = False
    lends: bool = False
    issued: str = ""
    due: str = ""
    starts: str = ""
    backdated: str = "create_backdated_invoice"


@dataclass(frozen=True, slots=True)
class Amount:
    """An amount of money, None where it is not known; `taxed` False: tax comes on top of it."""

    value: Decimal | None
    taxed: bool = True


def places_of(currency: str) -> int | None:
    """The decimal places of a currency's smallest coin (ISO 4217); None for an unknown currency."""
    if not currency:
        return None
    return 0 if currency in _WHOLE.split() else 3 if currency in _THIRDS.split() else 2


def priced(
    worth: Worth, payload: Payload, *, lent: Decimal | None = None, places: int | None = None
) -> Decimal | None:
    """Price times quantity, the price that a parent lent where there is no own one."""
    price = number(value_at(payload, worth.price))
    price = lent if price is None else price
    if price is None or not worth.times:
        return price
    times = number(value_at(payload, worth.times))
    if times is None:
        return None
    return rounded(EXACT.multiply(price, times), places)


def of_lines(worth: Worth, payload: Payload, *, places: int | None = None) -> Decimal | None:
    """What lines come to before tax: price times quantity less discount, each rounded half up.

    None where that cannot be known: a line has no price (it is its item's), or is no line.
    """
    lines = payload.get(worth.lines)
    if not isinstance(lines, list) or not lines:
        return None
    net = Decimal(0)
    for line in lines:
        amount = _of_line(line, places) if isinstance(line, Mapping) else None
        if amount is None:
            return None
        net = EXACT.add(net, amount)
    of_each = str(payload.get("discount_type") or "").lower() == "item_level"
    less = Decimal(0) if of_each else _discount(payload.get("discount"), net, places)
    extras = [_given(payload.get(name)) for name in ("adjustment", "shipping_charge")]
    if less is None or None in extras:
        return None
    for extra in extras:
        net = EXACT.add(net, extra or Decimal(0))
    return EXACT.subtract(net, less)


def number(value: Any) -> Decimal | None:
    """A number as a row may hold it (text, too); None where it is none."""
    if value is None or isinstance(value, bool | float):
        return None
    try:
        found = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    _, digits, exponent = found.as_tuple()
    usable = isinstance(exponent, int) and abs(exponent) <= DIGITS_MAX >= len(digits)
    return found if usable else None


def rounded(amount: Decimal, places: int | None) -> Decimal:
    """Half up to a currency's places; as it is where those are not known."""
    if places is None:
        return amount
    return amount.quantize(Decimal(1).scaleb(-places), context=_ROUNDED)


def value_at(payload: Any, path: str) -> Any:
    """The value at a dotted path of a payload, None where there is none."""
    for part in path.split("."):
        payload = payload.get(part) if isinstance(payload, Mapping) else None
    return payload


def said_yes(value: Any) -> bool:
    """Whether a flag of a row is set, as true or as text."""
    return str(value).strip().lower() in _TRUE


def _of_line(line: Mapping[str, Any], places: int | None) -> Decimal | None:
    price, times = number(line.get("price")), number(line.get("quantity"))
    if price is None or (times is None and line.get("quantity") is not None):
        return None
    gross = EXACT.multiply(price, Decimal(1) if times is None else times)
    less = _discount(line.get("discount"), gross, places)
    return None if less is None else rounded(EXACT.subtract(gross, less), places)


def _discount(said: Any, of: Decimal, places: int | None) -> Decimal | None:
    """A discount as an amount: given as one, or as text like `10%`."""
    text = str(said).strip() if isinstance(said, str) else ""
    if not text.endswith("%"):
        return _given(said)
    percent = number(text.removesuffix("%"))
    if percent is None:
        return None
    return rounded(EXACT.multiply(EXACT.multiply(of, percent), Decimal("0.01")), places)


def _given(said: Any) -> Decimal | None:
    """The number that is said, nothing where nothing is; None where it is no number."""
    return Decimal(0) if said in (None, "") else number(said)
