"""Each operation of each kind, as rows of the simulated company."""

from collections.abc import Callable

from sim.crash_kit import Operation, Statements

LINES = '[{"name": "Router", "quantity": 1, "unit_price": 100.00}]'
MORE_LINES = (
    '[{"name": "Router", "quantity": 1, "unit_price": 100.00},'
    ' {"name": "Cable", "quantity": 2, "unit_price": 10.00}]'
)
DAY = "2026-11-20"


def product(n: int) -> Statements:
    return (f"insert into products values ('fam{n}', 'Family {n}', true)",)


def plan(n: int) -> Statements:
    return (
        *product(n),
        f"insert into plans values ('p{n}', 'fam{n}', 'P-{n}', 'Plan {n}', 50, true)",
    )


def person(n: int) -> Statements:
    return (
        (
            f"insert into people values ('c{n}', 'Person {n}', 'person{n}@example.com', '1',"
            f" 'Road {n}', 'Town', 'real', false, null)"
        ),
    )


def bill(n: int, status: str = "sent", *, number: int = 0, owner: int | None = None) -> Statements:
    key = n * 10 + number
    return (
        (
            f"insert into bills values ({key}, 'c{n if owner is None else owner}', null, 'B-{key}',"
            f" 'adjustment', '{DAY}', '2026-12-20', '{LINES}', 15, 115.00, '{status}', null)"
        ),
    )


def service(n: int) -> Statements:
    return (f"insert into services values ('s{n}', 'c{n}', 'p1', 1, 50, '{DAY}', 'active')",)


def recurring(n: int) -> Statements:
    return (
        (
            f"insert into bills values ({n * 10 + 9}, 'c{n}', 's{n}', 'R-{n}', 'recurring',"
            f" '{DAY}', '2026-12-20', "
            '\'[{"name": "Plan 1", "quantity": 1, "unit_price": 50.00}]\', 15, 57.50,'
            " 'sent', null)"
        ),
    )


def receipt(n: int, *bills: int, amount: str = "115.00") -> Statements:
    total = f"{len(bills)} * {amount}"
    return (
        (
            f"insert into receipts values ({n}, 'c{n}', {total}, '{DAY} 10:00+00', 'REF-{n}',"
            " 'eft', 'completed', 'thanks')"
        ),
        *(f"insert into receipt_parts values ({n}, {key}, {amount})" for key in bills),
    )


def nothing(_: int) -> Statements:
    return ()


def first(statements: Callable[[int], Statements]) -> Callable[[int], Statements]:
    """Those statements at the first try only."""
    return lambda n: statements(n) if n == 1 else ()


def join(*parts: Callable[[int], Statements]) -> Callable[[int], Statements]:
    return lambda n: tuple(text for part in parts for text in part(n))


def say(text: str) -> Callable[[int], Statements]:
    """One statement, {n} is the number of the try."""
    return lambda n: (text.replace("{n}", str(n)),)


def family(n: int) -> Statements:
    """Somebody signs up: customer, subscription, its invoice, one of ours, and a payment."""
    return (*person(n), *service(n), *recurring(n), *bill(n), *receipt(n, n * 10))


OPERATIONS: tuple[Operation, ...] = (
    Operation("products create", nothing, product),
    Operation(
        "products update", product, say("update products set name = 'New {n}' where id = 'fam{n}'")
    ),
    Operation(
        "products inactivate",
        product,
        say("update products set active = false where id = 'fam{n}'"),
    ),
    Operation(
        "products activate",
        join(product, say("update products set active = false where id = 'fam{n}'")),
        say("update products set active = true where id = 'fam{n}'"),
    ),
    Operation("plans create", product, lambda n: plan(n)[1:]),
    Operation("plans update", plan, say("update plans set price = 60 where id = 'p{n}'")),
    Operation("plans inactivate", plan, say("update plans set active = false where id = 'p{n}'")),
    Operation(
        "plans activate",
        join(plan, say("update plans set active = false where id = 'p{n}'")),
        say("update plans set active = true where id = 'p{n}'"),
    ),
    Operation("customers create", nothing, person),
    Operation("customers create with a new token", nothing, person, expired=True),
    Operation("customers update", person, say("update people set phone = '2' where id = 'c{n}'")),
    Operation(
        "customers inactivate", person, say("update people set closed = true where id = 'c{n}'")
    ),
    Operation(
        "customers activate",
        join(person, say("update people set closed = true where id = 'c{n}'")),
        say("update people set closed = false where id = 'c{n}'"),
    ),
    Operation("subscriptions create", join(first(plan), person), service),
    Operation(
        "subscriptions update",
        join(first(plan), person, service),
        say("update services set quantity = 3 where id = 's{n}'"),
    ),
    Operation(
        "subscriptions cancel",
        join(first(plan), person, service),
        say("update services set status = 'cancelled' where id = 's{n}'"),
    ),
    Operation("invoices create a draft", person, lambda n: bill(n, "draft")),
    Operation("invoices create and open", person, bill),
    Operation(
        "invoices update a draft",
        join(person, lambda n: bill(n, "draft")),
        say(f"update bills set lines = '{MORE_LINES}', total = 138.00 where id = {{n}} * 10"),
    ),
    Operation(
        "invoices update",
        join(person, bill),
        say("update bills set due = '2026-12-24', terms = 'net' where id = {n} * 10"),
    ),
    Operation(
        "invoices open",
        join(person, lambda n: bill(n, "draft")),
        say("update bills set status = 'sent' where id = {n} * 10"),
    ),
    Operation(
        "invoices void",
        join(person, bill),
        say("update bills set status = 'voided' where id = {n} * 10"),
    ),
    Operation("invoices link", join(first(plan), person, service), recurring),
    Operation("payments create", join(person, bill), lambda n: receipt(n, n * 10)),
    Operation(
        "payments create over two invoices",
        join(person, bill, lambda n: bill(n, number=1)),
        lambda n: receipt(n, n * 10, n * 10 + 1),
    ),
    Operation(
        "payments update",
        join(person, bill, lambda n: receipt(n, n * 10)),
        say("update receipts set note = 'many thanks' where id = {n}"),
    ),
    Operation("a family at once", first(plan), family),
)
