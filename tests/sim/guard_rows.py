"""Stories about rows and records: who waits on whom, what may change, what is lost or taken."""

from collections.abc import Iterator
from contextlib import contextmanager

from sim.crash_operations import MORE_LINES, bill, person, plan, product, receipt
from sim.guard_kit import Stage, many
from zohosync.core.checks import RowChecks
from zohosync.core.records import Desired, Ref
from zohosync.simulate.arena import Arena
from zohosync.store.tapped import LOST

RAISED = (
    "insert into bills values ({id}, 'c1', {service}, 'R-{id}', 'recurring', '2026-11-20',"
    ' \'2026-12-20\', \'[{{"name": "Plan 1", "quantity": 1, "unit_price": 50.00}}]\', 15, 57.50,'
    " 'sent', null)"
)


def _service(key: str) -> str:
    return f"insert into services values ('{key}', 'c1', 'p1', 1, 50, '2026-11-20', 'active')"


def _raised(key: int, service: str | None) -> str:
    return RAISED.format(id=key, service=f"'{service}'" if service else "null")


async def a_child_waits_on_its_parent(stage: Stage) -> None:
    stage.start()
    stage.act(*person(1), *bill(1))
    await stage.rest(hours=1)


async def a_parent_lands_while_its_child_parks(stage: Stage) -> None:
    """One worker has read that the parent is not there, and another one makes it then."""
    stage.start("w1")
    stage.start("w2")
    await stage.clock.sleep(5)
    stage.line.bring_s = 3.0
    stage.act(*person(1), wake="w2")
    await stage.clock.sleep(1)
    stage.on("w1", "before read_parents", lambda: stage.hold("w1"))
    stage.act(*bill(1), wake="w1")
    await stage.clock.sleep(6)
    stage.line.bring_s = 0.05
    stage.free("w1")
    await stage.rest(hours=1)


async def a_payment_comes_before_its_invoice_is_open(stage: Stage) -> None:
    stage.start()
    stage.act(*person(1), *bill(1, "draft"), *receipt(1, 10))
    await stage.rest()
    stage.act("update bills set status = 'sent'")
    await stage.rest()


@contextmanager
def _row_security(stage: Stage) -> Iterator[None]:
    stage.overseer.run("alter table people enable row level security")
    try:
        yield
    finally:
        stage.overseer.run("alter table people disable row level security")


async def row_security_hides_the_rows(stage: Stage) -> None:
    """Somebody switches it on and grants us nothing; an operator retries when it is off again."""
    stage.start()
    stage.act(*person(1))
    await stage.rest()
    with _row_security(stage):
        stage.act("update people set phone = '2'")
        await stage.rest()
    stage.act(
        "insert into zohosync.marks (kind, key, op, priority) "
        "select kind, key, 'R', 5 from zohosync.records where status = 'failed'"
    )
    await stage.rest()


async def a_key_comes_back_as_somebody_else(stage: Stage) -> None:
    """Person 1 is deleted, and somebody else gets the key."""
    stage.excused.add(("customers", "c1"))
    stage.start()
    stage.act(*person(1), *bill(1))
    await stage.rest()
    stage.excused.add(("invoices", "10"))
    stage.act("delete from people")
    await stage.rest()
    stage.act("insert into people values ('c1', 'Bob', 'bob@example.com', '', '', '', 'real')")
    await stage.rest()
    names = [row["display_name"] for row in stage.sandbox.ledger.records("customers")]
    stage.must(names == ["Person 1"], f"the invoices of Person 1 are of {names} now")


async def an_issued_invoice_changes_here(stage: Stage) -> None:
    stage.excused.add(("invoices", "10"))
    stage.start()
    stage.act(*person(1), *bill(1))
    await stage.rest()
    stage.act(f"update bills set lines = '{MORE_LINES}', total = 138.00")
    await stage.rest()
    puts = stage.calls("PUT /invoices/{invoice_id}")
    stage.must(puts == 0, "an issued invoice was changed in Zoho")


async def our_total_is_not_theirs(stage: Stage) -> None:
    stage.excused.add(("invoices", "10"))
    stage.start()
    stage.act(*person(1), *bill(1), "update bills set total = 999.00")
    await stage.rest()
    states = [row["status"] for row in stage.sandbox.ledger.records("invoices")]
    stage.must(states == ["draft"], f"an invoice of another total than ours is {states} in Zoho")


async def only_the_terms_of_an_invoice_change(stage: Stage) -> None:
    stage.start()
    stage.act(*person(1), *bill(1))
    await stage.rest()
    stage.act("update bills set terms = 'net'")
    await stage.rest()


async def zoho_has_lost_our_customers(stage: Stage) -> None:
    """Somebody empties the organisation by hand, or it is another one than before."""
    stage.start(slots=2)
    stage.act(*many(person, 20))
    await stage.rest()
    shelf = stage.sandbox.books.customers
    for row in list(shelf.rows.values()):
        stage.touched["customers", row["customer_id"]] = "deleted by hand"
        shelf.drop(row)
    stage.excused |= {("customers", f"c{n}") for n in range(1, 21)}
    stage.act("update people set phone = '9'")
    await stage.clock.sleep(600)
    puts = stage.calls("PUT /customers/{customer_id}")
    stage.must(puts < 10, f"{puts} updates were sent to an organisation that lost its records")


async def a_row_changes_again_within_the_debounce(stage: Stage) -> None:
    stage.start(debounce_s=300.0)
    stage.act(*person(1), *bill(1, "draft"))
    await stage.rest()
    stage.act("update bills set terms = 'net'")
    await stage.rest(hours=1)


async def a_row_changes_twenty_times_in_a_row(stage: Stage) -> None:
    stage.start(debounce_s=300.0)
    stage.act(*person(1), *bill(1, "draft"))
    await stage.rest()
    for turn in range(20):
        stage.act(f"update bills set terms = '{turn}'")
        await stage.clock.sleep(5)
    await stage.rest()
    puts = stage.calls("PUT /invoices/{invoice_id}")
    stage.must(puts <= 1, f"{puts} calls for twenty changes within two minutes")


async def the_database_fails_while_work_is_claimed(stage: Stage) -> None:
    stage.start()
    await stage.clock.sleep(5)
    stage.on("w1", "before claim_records", lambda: setattr(stage.line, "verdict", LOST))
    stage.act(*person(1))
    await stage.rest(hours=1)


async def two_invoices_look_alike_and_one_is_linked(stage: Stage) -> None:
    """Zoho raised one for each of two services; the first is linked by its hint."""
    stage.start()
    stage.act(*product(1), *plan(1)[1:], *person(1), _service("s1"), _service("s2"))
    stage.act(_raised(19, "s1"))
    await stage.rest()
    stage.act(_raised(29, None))
    await stage.rest()


async def two_rows_fit_one_invoice(stage: Stage) -> None:
    """Both are looked up at once, and both find it."""
    stage.excused |= {("invoices", "19"), ("invoices", "29")}
    stage.start()
    stage.act(*product(1), *plan(1)[1:], *person(1), _service("s1"))
    await stage.rest()
    stage.start("w2")
    await stage.clock.sleep(5)
    stage.on("w1", "before taken_ids", lambda: stage.hold("w1"))
    stage.act(_raised(19, None), wake="w1")
    await stage.clock.sleep(2)
    stage.act(_raised(29, None), wake="w2")
    await stage.clock.sleep(2)
    stage.free("w1")
    await stage.rest()


async def a_mark_commits_after_a_younger_one(stage: Stage) -> None:
    """Whoever made the first mark takes his time."""
    stage.start()
    await stage.clock.sleep(5)
    visitor = stage.visitor()
    visitor.run("begin")
    visitor.run(person(1)[0])
    stage.act(*person(2))
    await stage.rest()
    visitor.run("commit")
    visitor.close()
    await stage.rest(hours=0.005)


async def somebody_holds_a_mark(stage: Stage) -> None:
    """A transaction that hangs has locked one of two marks."""
    stage.act(*person(1), *person(2))
    visitor = stage.visitor()
    visitor.run("begin")
    visitor.run("select from zohosync.marks where key = 'c1' for update")
    stage.start()
    await stage.clock.sleep(30)
    made = stage.calls("POST /customers")
    stage.must(made == 1, "work stood still because somebody held a mark")
    visitor.run("commit")
    visitor.close()
    await stage.rest()


def checked(_: Arena) -> list[str]:
    """Two payments of the same reference, as `zohosync check` sees them; no database is needed."""
    checks = RowChecks(("payments",))
    for key in ("1", "2"):
        checks.take(Desired(Ref("payments", key), {"reference_number": "REF-1"}))
    told = [fault for fault in checks.faults() if fault.column == "reference_number"]
    return [] if told else ["two payments with one reference pass the check"]
