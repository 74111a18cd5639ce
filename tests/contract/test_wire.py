"""Zoho's spellings and ours: every kind can be said, exactly, and asks for no more than needed."""

from decimal import Decimal

import pytest
import simplejson

from contract.contract import operation_of, operations
from zohosync.core.kinds import KINDS
from zohosync.core.steps import Create, Purpose, Transition, Update
from zohosync.zoho.wire import (
    DATA_CENTERS,
    SCOPES,
    WIRES,
    encode,
    fits,
    id_of,
    list_request,
    query_of,
    read_request,
    record_path,
    spell,
    write_request,
)


def test_every_kind_can_be_said() -> None:
    assert WIRES.keys() == KINDS.keys()
    for name, kind in KINDS.items():
        wire = WIRES[name]
        assert (wire.singular, wire.id_field) == (kind.singular, kind.id_field)
        assert set(kind.states.moves.values()) <= wire.moves.keys()


def test_every_look_up_asks_only_for_what_a_record_of_that_kind_carries() -> None:
    for name, kind in KINDS.items():
        wire = WIRES[name]
        references = {reference.field.split(".")[0] for reference in kind.references}
        carried = {*kind.columns, *kind.required, *references, *kind.identity, "sku"}
        for purpose in (Purpose.VERIFY, Purpose.LINK):
            look = wire.look_up(purpose)
            assert look.by or look.narrow
            assert {*look.narrow, *look.asked.values()} <= carried


def test_money_leaves_digit_for_digit() -> None:
    applied = [{"amount_applied": Decimal("0.10")}]
    payload = {"amount": Decimal("1234567890123456.78"), "invoices": applied}
    body = encode(WIRES["payments"], payload)
    assert body == b'{"amount": 1234567890123456.78, "invoices": [{"amount_applied": 0.10}]}'


def test_invoice_prices_are_texts_as_zoho_has_them() -> None:
    payload = {"invoice_items": [{"price": Decimal("1E+2"), "quantity": Decimal(2)}]}
    body = encode(WIRES["invoices"], payload)
    assert simplejson.loads(body) == {"invoice_items": [{"price": "100", "quantity": 2}]}
    assert spell(WIRES["invoices"], {"invoice_items": [{"price": "50.00", "name": "50.00"}]}) == {
        "invoice_items": [{"price": Decimal(50), "name": "50.00"}]
    }


def test_names_in_every_script_survive() -> None:
    name = "Zoë 😀 שלום"
    body = encode(WIRES["customers"], {"display_name": name})
    assert simplejson.loads(body)["display_name"] == name
    assert name.encode() in body


OURS = {"invoice_number": "A-1", "date": "2026-01-02"}


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ({"number": "A-1", "invoice_date": "2026-01-02"}, OURS),
        (OURS, OURS),
        ({"number": "B", "invoice_number": "A"}, {"invoice_number": "A"}),
        ({"number": "A-1", "invoice_number": ""}, {"invoice_number": "A-1"}),
    ],
)  # fmt: skip
def test_both_spellings_of_an_invoice_are_understood(
    theirs: dict[str, str], ours: dict[str, str]
) -> None:
    assert ours.items() <= spell(WIRES["invoices"], theirs).items()


def test_a_subscription_names_its_customer_wherever_zoho_puts_it() -> None:
    nested = spell(WIRES["subscriptions"], {"customer": {"customer_id": "7"}})
    flat = spell(WIRES["subscriptions"], {"customer_id": "7"})
    assert nested["customer_id"] == flat["customer_id"] == "7"


def test_text_that_postgres_cannot_hold_is_mended() -> None:
    assert spell(WIRES["customers"], {"notes": "a\x00b\ud800c"}) == {"notes": "ab?c"}


@pytest.mark.parametrize(
    ("record", "zoho_id"),
    [
        ({"customer_id": "4600000000000000052"}, "4600000000000000052"),
        ({"customer_id": 4600000000000000052}, "4600000000000000052"),
        ({"customer_id": ""}, None),
        ({"customer_id": True}, None),
        ({"customer_id": Decimal("4.6E18")}, None),
        ({}, None),
        (None, None),
        ([], None),
    ],
)
def test_only_a_real_id_is_an_id(record: object, zoho_id: str | None) -> None:
    assert id_of(WIRES["customers"], record) == zoho_id


def test_an_invoice_is_created_under_our_number_and_never_mailed() -> None:
    wanted = {"invoice_number": "A-1", "notes": None}
    step = Create({"invoice_number": "A-1"}, wanted, None, more=False)
    request = write_request(WIRES["invoices"], step)
    assert (request.method, request.path) == ("POST", "/invoices")
    assert request.query == {"send": "false", "ignore_auto_number_generation": "true"}
    assert request.payload == step.wanted
    assert request.operation == "invoices.create"


def test_a_change_puts_the_fields_and_keeps_them_as_the_intent() -> None:
    step = Update("12", {"email": "a@x.example"}, {"email": "a@x.example"}, Decimal(3), more=False)
    request = write_request(WIRES["customers"], step)
    assert (request.method, request.path, request.query) == ("PUT", "/customers/12", {})
    assert (request.payload, request.total) == (step.fields, Decimal(3))


@pytest.mark.parametrize(
    ("kind", "operation", "path", "query"),
    [
        ("customers", "markasinactive", "/customers/1/markasinactive", {}),
        ("plans", "markasactive", "/plans/1/markasactive", {}),
        ("subscriptions", "cancel", "/subscriptions/1/cancel", {"cancel_at_end": "false"}),
        ("subscriptions", "cancel_at_end", "/subscriptions/1/cancel", {"cancel_at_end": "true"}),
        ("invoices", "converttoopen", "/invoices/1/converttoopen", {}),
        ("invoices", "void", "/invoices/1/void", {}),
    ],
)
def test_a_change_of_state_is_a_post_without_a_body(
    kind: str, operation: str, path: str, query: dict[str, str]
) -> None:
    request = write_request(WIRES[kind], Transition("1", operation, "there", more=False))
    assert (request.method, request.path, request.query) == ("POST", path, query)
    assert request.body is None
    assert request.operation == f"{kind}.{operation}"


def test_a_plan_code_may_hold_any_character() -> None:
    assert record_path(WIRES["plans"], "P/1 é?#%") == "/plans/P%2F1%20%C3%A9%3F%23%25"


def test_a_look_up_without_a_value_asks_without_that_parameter() -> None:
    look = WIRES["invoices"].look_up(Purpose.VERIFY)
    assert query_of(look, {}) == {"filter_by": "Status.All"}
    assert query_of(look, {"customer_id": "7"}) == {"filter_by": "Status.All", "customer_id": "7"}


def test_rows_are_narrowed_exactly_but_for_letter_case() -> None:
    look = WIRES["customers"].look_up(Purpose.VERIFY)
    assert fits(look, {"email": "Ann@X.example"}, {"email": " ann@x.example"})
    assert not fits(look, {"email": "ann@x.example"}, {"email": "joann@x.example"})
    assert not fits(look, {"email": "ann@x.example"}, {})


def test_pages_are_counted_from_one_and_full() -> None:
    request = list_request(WIRES["taxes"], {}, 1)
    assert (request.path, request.query) == ("/settings/taxes", {"page": "1", "per_page": "200"})


def test_we_ask_for_the_scopes_that_we_use_and_no_others() -> None:
    assert len(SCOPES) == len(set(SCOPES))
    assert "ZohoSubscriptions.settings.READ" in SCOPES
    assert "ZohoSubscriptions.invoices.CREATE" in SCOPES
    assert not [scope for scope in SCOPES if scope.endswith((".DELETE", ".all"))]
    assert not [scope for scope in SCOPES if "settings" in scope and not scope.endswith("READ")]


def test_canada_logs_in_elsewhere() -> None:
    assert DATA_CENTERS["ca"].accounts == "https://accounts.zohocloud.ca"
    assert DATA_CENTERS["ca"].api == "https://www.zohoapis.ca"
    assert DATA_CENTERS["au"].api == "https://www.zohoapis.com.au"
    assert DATA_CENTERS["us"].console == "https://api-console.zoho.com"
    assert [name for name, center in DATA_CENTERS.items() if not center.certain] == ["uk"]


def test_the_scopes_cover_every_call_that_can_be_made() -> None:
    calls = []
    for wire in WIRES.values():
        calls.append(list_request(wire, {}, 1))
        if not wire.look_up(Purpose.VERIFY).narrow or wire.verbs != ("READ",):
            calls.append(read_request(wire, "1"))
        if "CREATE" in wire.verbs:
            calls.append(write_request(wire, Create({}, {}, None, more=False)))
        if "UPDATE" in wire.verbs:
            calls.append(write_request(wire, Update("1", {}, {}, None, more=False)))
        calls += [write_request(wire, Transition("1", move, "", more=False)) for move in wire.moves]
    for call in calls:
        if call.operation == "payments.list":
            continue  # not documented, and not used: payments are found through their invoice
        scope = operations()[operation_of(call.method, call.path)]["scope"]
        assert scope in SCOPES, call
