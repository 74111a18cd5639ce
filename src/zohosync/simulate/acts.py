"""What may happen at the simulated company: a weighted table of acts, each one transaction."""

from collections.abc import Callable
from decimal import Decimal
from functools import partial

from zohosync.simulate import clerks
from zohosync.simulate.picture import Bill, Pen, Person, Plan, Service
from zohosync.simulate.trade import (
    CITIES,
    anew,
    anybody,
    new_bill,
    new_email,
    new_name,
    new_person,
    new_phone,
    new_plan,
    new_product,
    new_receipt,
    new_service,
    recurring_bill,
)


def _editable(pen: Pen, column: str | None = None) -> Person | None:
    """Somebody whose row may be edited.

    Of one who was away once only one of name and e-mail may ever change: were it both, a key that
    came back would be somebody else's.
    """

    def fits(each: Person) -> bool:
        if each.gone or each.wrong or each.excused:
            return False
        return column is None or not each.left_once or each.touched <= {column}

    return pen.choose(pen.picture.people, fits)


def _service(pen: Pen, *, pending: bool = False) -> Service | None:
    """A running service; mostly one whose first bill is not ours to find."""
    status = "pending" if pending else "active"

    def fits(each: Service) -> bool:
        right = each.status == status and not each.wrong and not each.excused
        return right and pen.picture.living(each.person_id)

    return pen.choose(pen.picture.services, fits, lambda each: not each.recurring)


# --------------------------------------------------------------------------------------- people


def found(pen: Pen) -> None:
    """The first rows of all."""
    products = [new_product(pen) for _ in range(2)]
    plans = [new_plan(pen, products[number % 2]) for number in range(4)]
    people = [new_person(pen, "test" if number == 11 else "real") for number in range(12)]
    pen.put(*products)
    pen.put(*plans)
    pen.put(*people)
    services = [each for each in (new_service(pen, person) for person in people) if each]
    pen.put(*services)
    bills = [recurring_bill(pen, service) for service in services[:6]]
    bills += [new_bill(pen, person, "sent") for person in people[4:10]]
    bills += [new_bill(pen, person, "draft") for person in people[8:11]]
    pen.put(*bills)
    pen.put(*[new_receipt(pen, [bill], [bill.total]) for bill in bills[4:9]])


def sign_up(pen: Pen, kind: str = "real") -> None:
    """A person with a service and mostly with bills, and sometimes paid for at once."""
    person = new_person(pen, kind)
    pen.put(person)
    service = new_service(pen, person)
    if service is None:
        return
    pen.put(service)
    bills = [recurring_bill(pen, service)] if pen.odds(0.5) else []
    if pen.odds(0.5):
        bills.append(new_bill(pen, person, "sent", "installation"))
    if bills:
        pen.put(*bills)
        if pen.odds(0.4):
            pen.put(new_receipt(pen, bills, [bill.total for bill in bills]))


def big_day(pen: Pen) -> None:
    """Many new people at once, some with a service; once in a company's life."""
    if pen.picture.big_day:
        return
    pen.picture.big_day = True
    people = [new_person(pen) for _ in range(pen.chance.integer(20, 40))]
    pen.put(*people)
    services = [each for each in (new_service(pen, person) for person in people[:8]) if each]
    if services:
        pen.put(*services)


def edit(pen: Pen, column: str, person: Person | None = None) -> None:
    """One column of a person changes."""
    person = person or _editable(pen, column)
    if person is None or person.gone or person.wrong or person.excused:
        return
    if column in ("name", "email"):
        if person.left_once and not person.touched <= {column}:
            return
        person.touched.add(column)
    pen.change(person, **{column: _NEW[column](pen)})


_NEW: dict[str, Callable[[Pen], str | None]] = {
    "name": new_name,
    "email": new_email,
    "phone": new_phone,
    "street": lambda pen: f"{pen.chance.integer(1, 900)} Voortrekker Road, Unit {pen.today.day}",
    "city": lambda pen: pen.pick(CITIES),
    "company_name": lambda pen: f"Company {pen.chance.integer(1, 99)} CC",
}


def empty(pen: Pen) -> None:
    """A field that need not be there is emptied."""
    if person := _editable(pen):
        pen.change(person, **{pen.pick(("phone", "city", "street", "company_name")): None})


def burst(pen: Pen) -> None:
    """Somebody cannot stop editing one person: now, and in the next moments."""
    person = _editable(pen)
    if person is None:
        return
    for column in ("phone", "street", "city"):
        edit(pen, column, person)
    more = [pen.pick(("phone", "street", "company_name")) for _ in range(pen.chance.integer(2, 4))]
    pen.picture.follow += [("edits on", partial(_edit_on, column, person)) for column in more]


def _edit_on(column: str, person: Person, pen: Pen) -> None:
    edit(pen, column, person)


def close(pen: Pen) -> None:
    """An account is closed; nothing new is done with it while it is."""
    if person := anybody(pen):
        pen.change(person, closed=True)


def reopen(pen: Pen) -> None:
    """A closed account is opened again."""
    if person := pen.choose(pen.picture.people, lambda each: each.closed and not each.gone):
        pen.change(person, closed=False)


def delete(pen: Pen, *, renamed: bool = False) -> None:
    """Somebody's row is deleted, and all that hangs on it is forgotten where it lies.

    Or it is only given another key.
    """

    def fits(each: Person) -> bool:
        return pen.picture.living(each.id) and each.children <= 3 and len(each.touched) < 2

    person = pen.choose(pen.picture.people, fits, lambda each: each.children <= 1)
    if person:
        pen.drop(person)
        if renamed:
            person.moved_on = True
            pen.put(anew(pen, person))


def _away(pen: Pen) -> Person | None:
    return pen.choose(pen.picture.people, lambda each: each.gone and not each.moved_on)


def come_back(pen: Pen) -> None:
    """A deleted row is there again, the same person under the same key; its phone may differ."""
    if person := _away(pen):
        person.gone = False
        person.phone = new_phone(pen) if pen.odds(0.5) else person.phone
        pen.insert([person])


def come_back_as_another(pen: Pen) -> None:
    """A deleted key is given to somebody else."""
    if person := _away(pen):
        person.gone = False
        person.name, person.email = f"{new_name(pen)} II", new_email(pen)
        person.excused = "its key was re-used for somebody else"
        pen.insert([person])


def come_back_elsewhere(pen: Pen) -> None:
    """The same person is written down once more, under a new key."""
    if person := _away(pen):
        person.moved_on = True
        pen.put(anew(pen, person))


def turn_test(pen: Pen, here: str, there: str) -> None:
    """An account turns out to be a test account, or a real one after all."""

    def fits(each: Person) -> bool:
        return each.kind == here and pen.picture.living(each.id)

    if person := pen.choose(pen.picture.people, fits, lambda each: each.children <= 2):
        pen.change(person, kind=there)


# ------------------------------------------------------------------------------------- services


def serve(pen: Pen, status: str) -> None:
    """A further service, pending or active; an active one often with its first bill."""
    person = anybody(pen)
    service = new_service(pen, person, status) if person else None
    if service:
        pen.put(service)
        if status == "active" and pen.odds(0.4):
            pen.put(recurring_bill(pen, service))


def activate(pen: Pen) -> None:
    """A pending service is switched on."""
    if service := _service(pen, pending=True):
        pen.change(service, status="active", starts=pen.today - pen.days(0, 3))
        if pen.odds(0.3):
            pen.put(recurring_bill(pen, service))


def change_terms(pen: Pen, column: str) -> None:
    """A service's quantity, price or plan changes."""
    service = _service(pen)
    if service is None:
        return
    if column == "quantity":
        pen.change(service, quantity=service.quantity % 6 + 1)
    elif column == "price":
        pen.change(service, price=Decimal(pen.chance.integer(20_000, 99_999)) / 100)
    else:
        plan = pen.choose(pen.picture.plans, _sellable)
        if plan and plan.id != service.plan_id:
            plan.used = True
            pen.change(service, plan_id=plan.id)


def _sellable(plan: Plan) -> bool:
    return plan.active and plan.price is not None and not plan.wrong


def cancel(pen: Pen) -> None:
    """A service ends."""
    if service := _service(pen):
        pen.change(service, status="cancelled")


def found_people(pen: Pen, count: int) -> None:
    """So many new people at once, as an import brings them."""
    pen.put(*[new_person(pen) for _ in range(count)])


def end_many(pen: Pen, what: int) -> None:
    """By one UPDATE, many people are closed, services cancelled or bills voided, up to thirty."""
    picture = pen.picture
    match what:
        case 0:
            people = [each for each in picture.people.values() if picture.living(each.id)]
            rows: list[Person | Service | Bill] = [*people[: len(people) // 2]]
        case 1:
            rows = [
                each
                for each in picture.services.values()
                if each.status == "active" and picture.living(each.person_id)
                and not (each.wrong or each.excused or each.recurring)
            ]  # fmt: skip
        case _:
            rows = [
                each
                for each in picture.bills.values()
                if each.status == "sent" and each.type != "recurring" and not each.used
                and not (each.wrong or each.excused) and picture.living(each.person_id)
            ]  # fmt: skip
    if rows:
        column, value = (("closed", True), ("status", "cancelled"), ("status", "voided"))[what]
        pen.change_all(rows[:30], column, value)


# --------------------------------------------------------------------------------------- plans


def launch(pen: Pen) -> None:
    """A new plan."""
    products = list(pen.picture.products.values())
    pen.put(new_plan(pen, pen.pick(products)))


def reprice(pen: Pen) -> None:
    """A plan costs more or less, and so do all services that follow it."""
    if plan := pen.choose(pen.picture.plans, _sellable, lambda each: not _followed(pen, each)):
        pen.change(plan, price=(plan.price or 1) + pen.chance.integer(-9, 20))


def _followed(pen: Pen, plan: Plan) -> bool:
    """Whether a recurring bill stands on this plan's price."""
    followers = pen.picture.services.values()
    return any(s.plan_id == plan.id and s.price is None and s.recurring for s in followers)


def retire(pen: Pen, *, back: bool) -> None:
    """A plan that nobody ever had is no longer sold, or is again."""

    def fits(each: Plan) -> bool:
        return each.active is not back and not each.used and not each.wrong

    if plan := pen.choose(pen.picture.plans, fits):
        pen.change(plan, active=back)


def rename(pen: Pen) -> None:
    """A product gets a name that no other has."""
    products = list(pen.picture.products.values())
    product = pen.pick(products)
    pen.change(product, name=f"{product.id} mark {pen.picture.number('names')}")


def reimport(pen: Pen) -> None:
    """A job writes many rows again as they are: Zoho is to hear nothing of it."""
    table = pen.pick(("people", "services", "bills", "plans", "receipts"))
    pen.say(f"update public.{table} set id = id")  # noqa: S608


Acts = tuple[tuple[int, str, Callable[[Pen], None]], ...]
ACTS: Acts = (
    (18, "signs up", sign_up),
    (1, "signs a test account up", partial(sign_up, kind="test")),
    (1, "big day", big_day),
    (7, "edits a name", partial(edit, column="name")),
    (7, "edits an e-mail", partial(edit, column="email")),
    (6, "edits a phone", partial(edit, column="phone")),
    (6, "edits a street", partial(edit, column="street")),
    (6, "edits a company", partial(edit, column="company_name")),
    (5, "empties a field", empty),
    (5, "edits in a burst", burst),
    (4, "closes a person", close),
    (6, "reopens a person", reopen),
    (6, "deletes a person", delete),
    (6, "comes back as before", come_back),
    (2, "comes back as somebody else", come_back_as_another),
    (3, "comes back under a new key", come_back_elsewhere),
    (3, "is given another key", partial(delete, renamed=True)),
    (1, "turns out to be a test", partial(turn_test, here="real", there="test")),
    (2, "turns out to be real", partial(turn_test, here="test", there="real")),
    (8, "takes a service", partial(serve, status="active")),
    (4, "orders a service", partial(serve, status="pending")),
    (5, "switches a service on", activate),
    (4, "changes a quantity", partial(change_terms, column="quantity")),
    (4, "changes a price", partial(change_terms, column="price")),
    (4, "changes a plan", partial(change_terms, column="plan_id")),
    (4, "cancels a service", cancel),
    (18, "sends a bill", partial(clerks.bill, status="sent")),
    (11, "drafts a bill", partial(clerks.bill, status="draft")),
    (8, "edits a draft", clerks.edit_draft),
    (10, "issues a draft", clerks.issue),
    (2, "deletes a draft", clerks.delete_draft),
    (2, "voids a draft", partial(clerks.void, status="draft")),
    (4, "voids a bill", partial(clerks.void, status="sent")),
    (4, "moves a due date", partial(clerks.reschedule, column="due")),
    (4, "changes the terms", partial(clerks.reschedule, column="terms")),
    (14, "pays in full", partial(clerks.pay, status="completed")),
    (8, "pays a part", partial(clerks.pay, status="completed", whole=False)),
    (8, "pays several at once", clerks.pay_several),
    (6, "pays later", partial(clerks.pay, status="pending")),
    (7, "is paid at last", clerks.complete),
    (1, "is never paid", clerks.bounce),
    (2, "gives money back", clerks.refund),
    (8, "corrects a receipt", clerks.annotate),
    (2, "truncates the receipts", clerks.truncate),
    (2, "restores the receipts", clerks.restore),
    (3, "launches a plan", launch),
    (2, "changes a plan's price", reprice),
    (4, "retires a plan", partial(retire, back=False)),
    (4, "sells a plan again", partial(retire, back=True)),
    (2, "renames a product", rename),
    (3, "imports all again", reimport),
    (4, "forgets an e-mail", clerks.without_email),
    (1, "forgets a price", clerks.without_price),
    (3, "names an unknown plan", clerks.with_unknown_plan),
    (3, "writes a wrong total", clerks.with_wrong_total),
    (1, "takes a number twice", clerks.with_taken_number),
    (2, "receives more than is owed", clerks.above_the_bill),
    (3, "edits an issued bill", clerks.tamper),
    (16, "mends a row", clerks.mend),
)
"""How often each comes about, its name, and what it writes; one that has nothing to do is redrawn.
"""
