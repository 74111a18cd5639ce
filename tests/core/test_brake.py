"""The brake's judgement, and what a sweep finds: tables and properties, no event loop."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.builders import POLICY, claim, judged, linked, planned, wanted
from zohosync.core.brake import (
    Brake,
    Closing,
    is_ending,
    stopped,
    too_many_endings,
    too_many_updates,
)
from zohosync.core.kinds import KINDS, MAPPED
from zohosync.core.plan import RAISED, Policy
from zohosync.core.records import Ref, Status, asked_of
from zohosync.core.replies import Accepted
from zohosync.core.steps import Nothing, Skip, Transition, Update
from zohosync.core.survey import Survey, foresee, sum_of, worth_of

ENDS = {
    "customers": ("inactive", "markasinactive"),
    "plans": ("inactive", "markasinactive"),
    "products": ("inactive", "markasinactive"),
    "subscriptions": ("cancelled", "cancel"),
    "invoices": ("void", "void"),
}


def gone_policy(kind: str) -> Policy:
    return replace(POLICY, when_gone={kind: ENDS[kind][0]})


def closings(keys: list[int], lately: int = 0, **fields: bool) -> list[Closing]:
    return [
        Closing(place, Ref("customers", str(key)), lately, **fields)
        for place, key in enumerate(keys)
    ]


def test_twenty_may_leave_and_not_one_more() -> None:
    assert stopped(closings(list(range(25))), Brake()) == (20, 21, 22, 23, 24)
    assert stopped(closings([1], lately=19), Brake()) == ()
    assert stopped(closings([1], lately=20), Brake()) == (0,)


def test_the_same_record_once_more_is_no_further_ending() -> None:
    assert stopped(closings([1], lately=20, counted=True), Brake()) == ()
    assert stopped(closings([1, 1, 1], lately=19), Brake()) == ()


def test_what_a_person_let_through_goes_and_nothing_of_a_paused_kind() -> None:
    assert stopped(closings([1, 2], lately=500, let_through=True), Brake()) == ()
    assert stopped(closings([1], let_through=True, paused=True), Brake()) == (0,)
    assert stopped(closings([1], counted=True, paused=True), Brake()) == (0,)


def test_what_was_let_through_takes_the_place_of_others() -> None:
    seen = Closing(0, Ref("customers", "a"), 19, let_through=True)
    other = Closing(1, Ref("customers", "b"), 19)
    assert stopped([seen, other], Brake()) == (1,)


def test_kinds_are_counted_apart() -> None:
    some = [Closing(n, Ref(kind, "1"), 0) for n, kind in enumerate(("customers", "invoices"))]
    assert stopped(some, Brake(endings=1)) == ()


@given(
    lately=st.integers(0, 40),
    most=st.integers(0, 30),
    asked=st.lists(st.tuples(st.integers(0, 50), st.booleans(), st.booleans()), max_size=64),
)
def test_never_more_records_leave_than_the_number(
    lately: int, most: int, asked: list[tuple[int, bool, bool]]
) -> None:
    """Whatever asks in whatever order: those that nobody saw and were not counted stay below it."""
    some = [
        Closing(place, Ref("customers", str(key)), lately, counted=counted, let_through=agreed)
        for place, (key, counted, agreed) in enumerate(asked)
    ]
    stays = set(stopped(some, Brake(endings=most)))
    leaves = [closing for closing in some if closing.place not in stays]
    agreed_keys = {closing.ref for closing in leaves if closing.let_through}
    unseen = {
        closing.ref for closing in leaves if not closing.counted and not closing.let_through
    } - agreed_keys
    assert not unseen or lately + len(unseen) <= most
    assert all(
        not (closing.counted or closing.let_through) for closing in some if closing.place in stays
    )


@pytest.mark.parametrize("kind", sorted(ENDS))
def test_the_calls_that_end_a_record_are_known(kind: str) -> None:
    assert is_ending(f"{kind}.{ENDS[kind][1]}")
    assert not is_ending(f"{kind}.create")
    assert not is_ending(f"{kind}.update")


def test_an_opening_is_no_ending() -> None:
    assert not is_ending("customers.markasactive")
    assert not is_ending("invoices.converttoopen")
    assert is_ending("subscriptions.cancel_at_end")
    assert not is_ending("organizations")


def test_the_words_name_the_kind_and_the_next_step() -> None:
    assert "zohosync resume customers" in too_many_endings("customers", Brake())
    assert too_many_updates("customers", 100, Brake()) is None
    assert "101" in (too_many_updates("customers", 101, Brake()) or "")


def test_the_words_of_when_gone_lead_to_states_that_close() -> None:
    for name in MAPPED:
        states = KINDS[name].states
        assert set(states.when_gone.values()) <= states.closing <= states.names()
    assert not KINDS["payments"].states.when_gone


@pytest.mark.parametrize("kind", sorted(ENDS))
def test_a_row_that_is_gone_moves_its_record_and_then_rests(kind: str) -> None:
    state, operation = ENDS[kind]
    here = "open" if kind == "invoices" else None
    record = linked(kind, here)
    step = planned(None, record, policy=gone_policy(kind))
    assert step == Transition("z1", operation, state, more=True, gone=True)
    end = judged(step, Accepted("z1", {}), record)
    assert (end.status, end.remote_state, end.gone) == (Status.PENDING, state, True)
    after = replace(record, remote_state=state)
    assert planned(None, after, policy=gone_policy(kind)) == Skip("gone here", gone=True)


@pytest.mark.parametrize("kind", sorted(ENDS))
def test_a_row_that_is_not_eligible_any_more_moves_it_too(kind: str) -> None:
    record = linked(kind, "open" if kind == "invoices" else None)
    step = planned(wanted(kind, eligible=False), record, policy=gone_policy(kind))
    assert isinstance(step, Transition)
    assert not step.gone


@pytest.mark.parametrize("kind", MAPPED)
def test_nothing_is_done_by_default_nor_to_what_is_not_in_zoho(kind: str) -> None:
    assert planned(None, linked(kind)) == Skip("gone here", gone=True)
    if kind in ENDS:
        policy = gone_policy(kind)
        assert isinstance(planned(None, claim(kind), policy=policy), Skip)


def test_a_draft_is_not_opened_only_to_be_voided() -> None:
    step = planned(None, linked("invoices", "draft"), policy=gone_policy("invoices"))
    assert step == Skip("gone here; it is draft in Zoho and is left so", gone=True)


def test_what_zoho_raised_is_zohos_to_end() -> None:
    record = linked("invoices", "open", hints={RAISED: True})
    assert isinstance(planned(None, record, policy=gone_policy("invoices")), Skip)
    said = wanted("invoices", raised_by="zoho", eligible=False)
    bare = linked("invoices", "open")
    assert isinstance(planned(said, bare, policy=gone_policy("invoices")), Skip)


def test_a_record_comes_to_its_total_or_to_what_its_fields_say() -> None:
    lines = [{"price": Decimal(100), "quantity": 2}, {"price": Decimal("0.5"), "quantity": 1}]
    assert worth_of(KINDS["invoices"], {"invoice_items": lines}) == Decimal("200.5")
    assert worth_of(KINDS["invoices"], {}, Decimal(7)) == Decimal(7)
    assert worth_of(KINDS["invoices"], {"invoice_items": [{"quantity": Decimal(1)}]}) is None
    assert worth_of(KINDS["payments"], {"amount": Decimal(5)}) == Decimal(5)
    plan_of = {"plan": {"price": Decimal(10), "quantity": Decimal(3)}}
    assert worth_of(KINDS["subscriptions"], plan_of) == Decimal(30)
    assert worth_of(KINDS["subscriptions"], {"plan": {"quantity": Decimal(3)}}) is None
    assert worth_of(KINDS["customers"], {"display_name": "Ada"}) is None


def test_a_change_is_foreseen_with_what_it_comes_to() -> None:
    record = linked("invoices", "open")
    step = planned(wanted("invoices", state="void"), record)
    change = foresee(wanted("invoices", state="void"), record, step, None)
    assert change is not None
    assert (change.ends, change.what, change.worth) == (True, "becomes void", Decimal("115.00"))
    assert sum_of([change, change]) == Decimal("230.00")
    assert sum_of([]) is None


def test_an_update_is_foreseen_with_its_fields() -> None:
    row = wanted("customers", display_name="Ada King")
    record = linked("customers")
    change = foresee(row, record, planned(row, record), None)
    assert change is not None
    assert not change.ends
    assert "display_name" in change.fields


@pytest.mark.parametrize(
    ("status", "same", "marks"),
    [
        (None, False, 1),
        (Status.SYNCED, True, 0),
        (Status.SYNCED, False, 1),
        (Status.FAILED, False, 1),
        (Status.PENDING, False, 0),
        (Status.RETRYING, False, 0),
        (Status.UNCERTAIN, False, 0),
    ],
)
def test_only_what_a_mark_would_tell_something_is_marked(
    status: Status | None, same: bool, marks: int
) -> None:
    row = wanted("customers") if same else wanted("customers", display_name="Ada King")
    record = None if status is None else linked("customers", status=status)
    step = planned(row, record or claim("customers"))
    assert isinstance(step, Nothing | Update) or record is None
    found = Survey("customers")
    found.take(row, record, step, None)
    assert len(found.marks) == marks


def test_what_a_row_asks_for_has_one_digest() -> None:
    assert asked_of(wanted("invoices")) == asked_of(wanted("invoices"))
    for column, value in (
        ("state", "void"),
        ("eligible", False),
        ("due_date", "2026-02-01"),
        ("customer_key", "2"),
        ("total", Decimal(1)),
    ):
        assert asked_of(wanted("invoices")) != asked_of(wanted("invoices", **{column: value}))
