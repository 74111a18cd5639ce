"""What a list says of records that have no list of their own: a payment, by its invoices' balances.

Zoho lists no payments. Of an invoice it lists what it comes to and what is still owed, so how much
was paid is known, and by how much of that a linked payment of ours stands.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from zohosync.core.compare import Sort, Verdict


@dataclass(frozen=True, slots=True)
class Share:
    """What a row takes of one record: the record's name here, its Zoho id, and how much."""

    of: str
    zoho_id: str | None
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Covering:
    """A row that has no list: its link, and its shares."""

    key: str
    linked: str | None
    shares: tuple[Share, ...]
    parents: tuple[str, ...] = ()
    excluded: frozenset[str] = frozenset()


PAID = "what it pays may be in Zoho already: settle that one, then compare again"
"""Why a row is held whose parents are in doubt."""


def covered_of(fields: Mapping[str, Any]) -> Decimal:
    """How much of a listed record is covered: what it comes to, less what is still owed."""
    if str(fields.get("status") or "").lower() in ("void", "draft"):
        return Decimal(0)
    try:
        return Decimal(str(fields["total"])) - Decimal(str(fields["balance"]))
    except (KeyError, ArithmeticError):
        return Decimal(0)


def sort_covering(
    rows: Sequence[Covering], covered: Mapping[str, Decimal]
) -> list[tuple[Verdict, tuple[Any, Any] | None]]:
    """Each row's verdict, with what differs where it is linked (here, there). Pure.

    `covered` is how much of each listed record is covered, by Zoho id. What no linked row accounts
    for may be the row that is not linked yet: it is in doubt, since posting it would pay twice.
    """
    ours: dict[str, Decimal] = {}
    for row in rows:
        for share in row.shares:
            if row.linked is not None and share.zoho_id is not None:
                ours[share.zoho_id] = ours.get(share.zoho_id, Decimal(0)) + share.amount
    return [_sorted(row, covered, ours) for row in rows]


def _sorted(
    row: Covering, covered: Mapping[str, Decimal], ours: Mapping[str, Decimal]
) -> tuple[Verdict, tuple[Any, Any] | None]:
    known = [(share, share.zoho_id) for share in row.shares if share.zoho_id in covered]
    if row.linked is not None:
        short = [
            (share.of, ours[each], covered[each])
            for share, each in known
            if each is not None and covered[each] < ours.get(each, Decimal(0))
        ]
        if not short:
            return Verdict(Sort.LINKED, row.key, row.linked), None
        of, here, there = short[0]
        reason = f"of {of} {there} is paid in Zoho, and {here} by what is linked here"
        return Verdict(Sort.DIFFERS, row.key, row.linked, reason=reason), (here, there)
    doubtful = [
        (share.of, each, covered[each] - ours.get(each, Decimal(0)))
        for share, each in known
        if each is not None
        and each not in row.excluded
        and covered[each] > ours.get(each, Decimal(0))
    ]
    if not doubtful and row.parents:
        return Verdict(Sort.AMBIGUOUS, row.key, None, row.parents, PAID), None
    if not doubtful:
        return Verdict(Sort.ONLY_HERE, row.key), None
    of, zoho_id, amount = doubtful[0]
    reason = f"{amount} is paid on {of} ({zoho_id}) in Zoho that no linked row accounts for"
    return Verdict(Sort.AMBIGUOUS, row.key, None, (zoho_id,), reason), None
