"""The kinds as data: what they name exists, their states connect, parents come before children."""

import pytest
import simplejson

from contract.contract import operations, request_faults
from core.builders import claim, planned, wanted
from zohosync.core.kind import Kind, States
from zohosync.core.kinds import ALL_FIELDS, KINDS, MAPPED, kind_named
from zohosync.core.mapping import OURS, column_names, is_mapped
from zohosync.core.steps import Create
from zohosync.zoho.wire import WIRES, encode

EVERY = sorted(KINDS)
MADE = [kind for kind in KINDS.values() if not kind.link_only]

# The status words that the contract's endpoints name, and what a mapping calls them.
REMOTE_STATUSES = {
    "customers": {"active": "active", "inactive": "inactive"},
    "products": {"active": "active", "inactive": "inactive"},
    "plans": {"active": "active", "inactive": "inactive"},
    "subscriptions": {
        "live": "live",
        "trial": "live",
        "future": "live",
        "unpaid": "live",
        "past_due": "live",
        "non_renewing": "non_renewing",
        "cancelled": "cancelled",
        "cancelled_from_dunning": "cancelled",
        "expired": "cancelled",
        "trial_expired": "cancelled",
    },
    "invoices": {
        "draft": "draft",
        "sent": "open",
        "overdue": "open",
        "paid": "open",
        "partially_paid": "open",
        "unpaid": "open",
        "void": "void",
    },
}


def fields_of(kind: Kind) -> set[str]:
    facts = operations()[f"POST /{kind.name}"]
    return set(facts["request"])


@pytest.mark.parametrize("name", EVERY)
def test_a_kind_is_listed_under_its_own_name_and_singular_is_within_it(name: str) -> None:
    kind = KINDS[name]
    assert kind.name == name
    assert kind.singular != name


@pytest.mark.parametrize("name", EVERY)
def test_every_parent_is_a_kind_that_comes_earlier(name: str) -> None:
    earlier = list(KINDS)[: list(KINDS).index(name)]
    for reference in KINDS[name].references:
        assert reference.kind in earlier


@pytest.mark.parametrize("name", EVERY)
def test_what_a_parent_must_be_is_a_state_that_it_can_have(name: str) -> None:
    for reference in KINDS[name].references:
        assert reference.needs <= KINDS[reference.kind].states.names()


@pytest.mark.parametrize("name", EVERY)
def test_the_states_of_a_kind_connect(name: str) -> None:
    states = KINDS[name].states
    known = states.names()
    assert states.initial in known
    assert set(states.remote.values()) <= known
    assert states.ended <= known
    assert set(states.advice) <= known
    for source, target in states.moves:
        assert source in known
        assert target in known
        assert states.next_move(source, target) is not None
    reached = {there for there in known if states.next_move(states.initial, there)}
    by_hand_alone = states.ended - set(states.remote.values())  # what happens outside of Zoho
    assert known - reached - {states.initial} == by_hand_alone


@pytest.mark.parametrize("name", EVERY)
def test_a_move_is_not_needed_to_stay_and_none_leads_out_of_an_end(name: str) -> None:
    states = KINDS[name].states
    for state in states.names():
        assert states.next_move(state, state) is None
    for ended in states.ended:
        assert all(states.next_move(ended, other) is None for other in states.names())


@pytest.mark.parametrize(
    ("name", "status", "state"),
    [(name, *pair) for name, words in REMOTE_STATUSES.items() for pair in words.items()],
)
def test_every_status_that_zoho_reports_has_a_word_of_ours(
    name: str, status: str, state: str
) -> None:
    states = KINDS[name].states
    assert states.of(status) == state
    assert states.of(status.upper()) == state
    assert status in states.remote


@pytest.mark.parametrize("status", [None, "", "never heard of", 5, {"a": 1}])
def test_a_status_that_is_none_is_taken_for_the_initial_state(status: object) -> None:
    assert KINDS["invoices"].states.of(status) == "draft"


def test_the_shortest_way_is_taken_a_move_at_a_time() -> None:
    invoices = KINDS["invoices"].states
    assert invoices.next_move("draft", "void") == ("converttoopen", "open")
    assert invoices.next_move("open", "void") == ("void", "void")
    assert invoices.next_move("open", "draft") is None
    round_trip = States("a", {}, {("a", "b"): "x", ("b", "a"): "y", ("b", "c"): "z"})
    assert round_trip.next_move("a", "c") == ("x", "b")
    assert round_trip.next_move("c", "a") is None


@pytest.mark.parametrize("kind", MADE, ids=lambda kind: kind.name)
def test_every_column_reference_constant_and_marker_is_a_field_that_zoho_takes(kind: Kind) -> None:
    fields = fields_of(kind)
    assert set(kind.columns) <= fields
    assert {name.split(".")[0] for name in kind.required} <= fields
    assert {reference.field.split(".")[0] for reference in kind.references if reference.sent} <= (
        fields | {"tax_id", "product_id", "invoice_id"}
    )
    assert set(kind.constants) <= fields
    assert kind.marker is None or kind.marker in fields


@pytest.mark.parametrize("name", MAPPED)
def test_the_create_of_a_sound_row_holds_the_contract(name: str) -> None:
    step = planned(wanted(name), claim(name))
    assert isinstance(step, Create)
    wire = WIRES[name]
    body = simplejson.loads(encode(wire, step.payload), use_decimal=True)
    assert request_faults(f"POST /{name}", body, wire.create_query) == []


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_what_a_kind_says_of_its_fields_is_said_of_fields_that_it_has(kind: Kind) -> None:
    parents = {reference.field.split(".")[0] for reference in kind.references}
    has = {*kind.columns, *parents, *kind.constants, kind.marker or "", *kind.required, "total"}
    has |= {"tax_name", "sku"} if kind.internal else set()
    tops = {name.split(".")[0] for name in (*kind.money, *kind.dates)}
    groups = {name for group in kind.somebody for name in group}
    for names in (tops, kind.always, kind.identity, kind.near_identity, kind.unique, groups):
        assert set(names) <= has
    for state, fields in kind.locked.items():
        assert state == "*" or state in kind.states.names()
        assert fields == ALL_FIELDS or fields <= has
    assert kind.lines is None or (kind.lines in kind.columns and kind.line_id)


@pytest.mark.parametrize("name", MAPPED)
def test_no_column_of_ours_has_the_name_of_a_field_that_is_sent(name: str) -> None:
    assert not set(KINDS[name].columns) & OURS
    assert column_names(KINDS[name]) >= set(KINDS[name].columns)


@pytest.mark.parametrize("name", MAPPED)
def test_every_kind_of_ours_can_be_told_to_be_ours(name: str) -> None:
    kind = KINDS[name]
    assert kind.marker or kind.identity
    assert is_mapped(name)


def test_a_kind_that_there_is_not_is_named_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="there is no kind 'invoice': the kinds are products, "):
        kind_named("invoice")
    assert kind_named("invoices") is KINDS["invoices"]
    assert not is_mapped("taxes")
