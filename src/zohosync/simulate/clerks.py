"""What may happen to the bills and receipts of the simulated company, mistakes included."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

from zohosync.simulate.picture import Bill, Pen, Receipt, cents, total_of
from zohosync.simulate.trade import (
    METHODS,
    anybody,
    new_bill,
    new_lines,
    new_person,
    new_plan,
    new_receipt,
    new_service,
)

ONE = Decimal(1)


def _bill(pen: Pen, fits: Callable[[Bill], bool], **more: Any) -> Bill | None:
    """A bill of ours that is right."""

    def right(each: Bill) -> bool:
        sound = not each.wrong and not each.excused and each.type != "recurring"
        return sound and fits(each) and pen.picture.living(each.person_id)

    return pen.choose(pen.picture.bills, right, **more)


def _payable(pen: Pen, *, whole: bool) -> list[Bill]:
    """Bills that may be paid, those of Zoho's too; in full only what nobody will change any more.

    Zoho takes no change of a paid invoice, and a payment may be quicker than an edit before it.
    """

    def fits(each: Bill) -> bool:
        if each.status != "sent" or each.wrong or each.excused or each.left < 2 * ONE:
            return False
        if each.type == "recurring":
            service = pen.picture.services[str(each.service_id)]
            if service.status != "active" or len(service.seen) > 1:
                return False
        return not (whole and each.edited) and pen.picture.living(each.person_id)

    return [each for each in pen.picture.bills.values() if fits(each)]


def _receipt(pen: Pen, *statuses: str) -> Receipt | None:
    def fits(each: Receipt) -> bool:
        right = each.status in statuses and not (each.wrong or each.excused or each.lost)
        return right and pen.picture.living(each.person_id)

    return pen.choose(pen.picture.receipts, fits)


# ---------------------------------------------------------------------------------------- bills


def bill(pen: Pen, status: str) -> None:
    """A bill that we raise, of any type."""
    if person := anybody(pen):
        pen.put(new_bill(pen, person, status))


def edit_draft(pen: Pen) -> None:
    """A draft's lines change, its total with them."""
    if draft := _bill(pen, lambda each: each.status == "draft"):
        lines = new_lines(pen, draft.type, draft.vat_rate)
        pen.change(draft, lines=lines, total=total_of(lines, draft.vat_rate))


def issue(pen: Pen) -> None:
    """A draft is sent."""
    if draft := _bill(pen, lambda each: each.status == "draft"):
        pen.change(draft, status="sent")


def reschedule(pen: Pen, column: str) -> None:
    """An open bill's due date or terms change; it will never be paid in full after that."""
    open_ = _bill(pen, lambda each: each.status == "sent" and each.left >= 2 * ONE)
    if open_ is None:
        return
    open_.edited = True
    if column == "due":
        pen.change(open_, due=open_.due + timedelta(days=pen.chance.integer(1, 14)))
    else:
        pen.change(open_, terms=pen.pick(("Strictly 7 days", "As agreed by telephone", None)))


def void(pen: Pen, status: str) -> None:
    """A draft, or a sent bill that nobody has paid anything of, is voided."""
    unpaid = _bill(
        pen,
        lambda each: each.status == status and not each.used,
        prefer=lambda each: len(each.seen) == 1,
    )
    if unpaid:
        pen.change(unpaid, status="voided")


def delete_draft(pen: Pen) -> None:
    """A draft's row is deleted."""
    if draft := _bill(pen, lambda each: each.status == "draft"):
        pen.drop(draft)


# ------------------------------------------------------------------------------------- receipts


def pay(pen: Pen, status: str, *, whole: bool = True) -> None:
    """One bill is paid: all of what is left, or about half of it."""
    bills = _payable(pen, whole=whole)
    if bills:
        one = pen.pick(bills)
        amount = one.left if whole else cents(one.left / pen.chance.integer(2, 4))
        pen.put(new_receipt(pen, [one], [amount], status))


def pay_several(pen: Pen) -> None:
    """One sum for two or three bills of a person, the last of them perhaps in part."""
    bills = _payable(pen, whole=True)
    owing: dict[str, list[Bill]] = {}
    for each in bills:
        owing.setdefault(each.person_id, []).append(each)
    several = [found_[:3] for found_ in owing.values() if len(found_) > 1]
    if several:
        chosen = pen.pick(several)
        amounts = [each.left for each in chosen]
        if pen.odds(0.4):
            amounts[-1] = cents(amounts[-1] / 2)
        pen.put(new_receipt(pen, chosen, amounts))


def complete(pen: Pen) -> None:
    """Money that was on its way has arrived."""
    if receipt := _receipt(pen, "pending"):
        pen.change(receipt, status="completed")


def bounce(pen: Pen) -> None:
    """Money that was on its way never arrives; its row is deleted."""
    if receipt := _receipt(pen, "pending"):
        pen.drop(receipt)


def refund(pen: Pen) -> None:
    """Money is given back: a person has to do the same in Zoho."""
    if receipt := _receipt(pen, "completed"):
        receipt.excused = "refunded after it was completed"
        pen.change(receipt, status="refunded")


def annotate(pen: Pen) -> None:
    """A receipt's note, method or time is corrected."""
    receipt = _receipt(pen, "completed", "pending")
    if receipt is None:
        return
    column = pen.pick(("note", "method", "at"))
    new = {"note": f"Corrected on {pen.today}", "method": pen.pick(METHODS)}
    at = receipt.at - timedelta(hours=pen.chance.integer(1, 30))
    pen.change(receipt, **{column: new.get(column, at)})


def truncate(pen: Pen) -> None:
    """Somebody empties the table of receipts; a backup remembers it."""
    if pen.picture.truncated or not pen.picture.receipts:
        return
    pen.picture.truncated = True
    for receipt in pen.picture.receipts.values():
        receipt.lost = True
    pen.say("truncate public.receipts, public.receipt_parts")


def restore(pen: Pen) -> None:
    """The backup of the receipts is read in again, beside what came since."""
    lost = [each for each in pen.picture.receipts.values() if each.lost]
    pen.picture.truncated = False
    if lost:
        for receipt in lost:
            receipt.lost = False
        pen.insert(lost)


# ---------------------------------------------------------------------------------------- wrong


def without_email(pen: Pen) -> None:
    """Somebody is written down without an e-mail."""
    person = new_person(pen)
    pen.spoil(person, "it has no e-mail", email=None)
    pen.put(person)


def without_price(pen: Pen) -> None:
    """A plan is written down without a price."""
    products = list(pen.picture.products.values())
    plan = new_plan(pen, pen.pick(products))
    pen.spoil(plan, "it has no price", price=None)
    pen.put(plan)


def with_unknown_plan(pen: Pen) -> None:
    """A service names no plan that there is."""
    person = anybody(pen)
    service = new_service(pen, person) if person else None
    if service:
        price = pen.picture.price_of(service)
        service.price = price
        pen.spoil(service, "its plan is unknown", plan_id=pen.pick((None, "plan-none")))
        pen.put(service)


def with_wrong_total(pen: Pen) -> None:
    """A bill's total is not what its lines come to."""
    if person := anybody(pen):
        wrong = new_bill(pen, person, "sent")
        pen.spoil(wrong, "its total is not that of its lines", total=wrong.total + pen.pick((1, 7)))
        pen.put(wrong)


def with_taken_number(pen: Pen) -> None:
    """A bill has the number of another: whichever comes first has it in Zoho, the other never."""
    other = _bill(pen, lambda each: each.status == "sent" and not each.used)
    person = anybody(pen)
    if other and person:
        double = new_bill(pen, person, "sent")
        pen.spoil(double, "its number is taken", number=other.number)
        double.excused = other.excused = "two bills had this number"
        pen.put(double)


def above_the_bill(pen: Pen) -> None:
    """A receipt is for more than its bill ever came to."""
    bills = _payable(pen, whole=True)
    if bills:
        one = pen.pick(bills)
        receipt = new_receipt(pen, [one], [one.left])
        receipt.claims = dict(receipt.parts)
        above = one.total + pen.chance.integer(1, 300)
        pen.spoil(receipt, "it is above its bill", amount=above, parts={one.id: above})
        pen.put(receipt)


def tamper(pen: Pen) -> None:
    """Somebody edits the lines of an issued bill and leaves its total alone."""
    if issued := _bill(pen, lambda each: each.status == "sent"):
        lines = [*issued.lines, ("Written in by hand", ONE, Decimal(25))]
        pen.spoil(issued, "its lines were edited after it was issued", lines=lines)


def mend(pen: Pen) -> None:
    """A wrong row is put right."""
    ready = [
        each for each in pen.picture.mends if not (isinstance(each[0], Receipt) and each[0].lost)
    ]
    if ready:
        row, right = pen.pick(ready)
        pen.picture.mends = [each for each in pen.picture.mends if each[0] is not row]
        pen.mend(row, right)
