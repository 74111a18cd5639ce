"""Which step is taken: what comes before what, and what each step carries."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from core.builders import (
    LIVE_POLICY,
    NOW,
    PARENTS,
    claim,
    intent,
    linked,
    marker_of,
    planned,
    wanted,
)
from zohosync.core.kinds import KINDS, MAPPED
from zohosync.core.lines import LINE_IDS
from zohosync.core.mapping import identity_of, internal_desired
from zohosync.core.plan import parent_status_note
from zohosync.core.records import ParentView, Payload, Ref, Status
from zohosync.core.steps import (
    Create,
    Fail,
    Find,
    Nothing,
    Purpose,
    Skip,
    Transition,
    Update,
    Wait,
    as_json,
    planned_operation,
)


def parents_with(kind: str, key: str = "1", **fields: Any) -> dict[Ref, ParentView]:
    ref = Ref(kind, key)
    return {**PARENTS, ref: replace(PARENTS[ref], **fields)}


def advice(step: object) -> str:
    assert isinstance(step, Fail)
    return step.problem.message


@pytest.mark.parametrize("kind", MAPPED)
def test_a_new_row_is_created_with_its_parents_ids_and_its_marker(kind: str) -> None:
    step = planned(wanted(kind), claim(kind))
    assert isinstance(step, Create)
    assert set(step.parents) == {slot.parent for slot in wanted(kind).slots if slot.path}
    text = str(step.payload)
    assert all(str(PARENTS[parent].zoho_id) in text for parent in step.parents)
    assert KINDS[kind].marker is None or marker_of("1") in text
    assert "None" not in text


@pytest.mark.parametrize("kind", MAPPED)
def test_a_row_as_zoho_has_it_costs_nothing(kind: str) -> None:
    assert planned(wanted(kind), linked(kind)) == Nothing()


@pytest.mark.parametrize("kind", MAPPED)
@pytest.mark.parametrize("operation", ["create", "update", "void", "cancel", "markasinactive"])
def test_an_open_intent_comes_before_everything_else(kind: str, operation: str) -> None:
    sent: Payload = {"reference_number": "as sent"}
    found = replace(intent(operation, sent, total=Decimal(5)))
    for desired in (
        None,
        wanted(kind),
        wanted(kind, eligible=False),
        wanted(kind, state="made up"),
        replace(wanted(kind), raised_by="zoho"),
    ):
        for claimed in (claim(kind), linked(kind)):
            held = replace(claimed, intent=found, check=True, gone_identity={"email": "other"})
            step = planned(desired, held, parents={}, policy=LIVE_POLICY)
            assert isinstance(step, Find)
            assert (step.purpose, step.expected, step.total) == (
                Purpose.VERIFY,
                sent,
                Decimal(5),
            )
            assert step.zoho_id == (None if operation == "create" else held.zoho_id)


def test_a_change_of_state_is_verified_by_the_state_it_leads_to() -> None:
    states = {"converttoopen": "open", "void": "void", "update": None, "create": None}
    for operation, state in states.items():
        step = planned(None, replace(linked("invoices"), intent=intent(operation)))
        assert isinstance(step, Find)
        assert step.state == state


def test_a_doubt_that_zoho_still_has_it_comes_before_what_the_row_says() -> None:
    for desired in (None, wanted("customers"), wanted("customers", eligible=False)):
        step = planned(desired, linked("customers", check=True))
        assert isinstance(step, Find)
        assert (step.purpose, step.zoho_id) == (Purpose.CHECK, "z1")
    assert isinstance(planned(wanted("customers"), claim("customers", check=True)), Create)


def test_a_row_that_is_gone_changes_nothing_in_zoho() -> None:
    assert planned(None, linked("invoices")) == Skip("gone here", gone=True)
    assert planned(None, claim("invoices")) == Skip("no such row here", gone=True)


def test_a_row_that_is_not_eligible_is_skipped_faults_and_all() -> None:
    desired = wanted("customers", eligible=False, email=None)
    assert planned(desired, claim("customers")) == Skip("not eligible")
    assert planned(desired, linked("customers")) == Skip("not eligible")


@pytest.mark.parametrize(
    ("kind", "state"),
    [("invoices", "void"), ("subscriptions", "cancelled"), ("payments", "reversed")],
)
def test_what_ended_before_it_ever_was_in_zoho_is_skipped(kind: str, state: str) -> None:
    assert planned(wanted(kind, state=state), claim(kind), parents={}) == Skip(
        f"{state} before it ever was in Zoho"
    )
    assert isinstance(planned(wanted(kind, state=state, customer_key=None), claim(kind)), Skip)


def test_the_first_fault_of_a_row_fails_it_before_its_parents_are_waited_for() -> None:
    step = planned(wanted("invoices", date=None), claim("invoices"), parents={})
    assert advice(step) == "date is required and is empty"


def test_a_key_that_came_back_as_somebody_else_is_for_a_person() -> None:
    before = identity_of(wanted("customers", display_name="Bob", email="bob@example.com"))
    came_back = linked("customers", gone_identity=before)
    assert "give it a key of its own" in advice(planned(wanted("customers"), came_back))
    assert isinstance(planned(wanted("customers"), replace(came_back, zoho_id=None)), Create)
    same = identity_of(wanted("customers", display_name="Bob"))
    assert isinstance(
        planned(wanted("customers"), linked("customers", gone_identity=same)), Nothing
    )


@pytest.mark.parametrize("kind", MAPPED)
def test_a_record_waits_for_each_parent_by_name(kind: str) -> None:
    desired = wanted(kind)
    for slot in desired.slots:
        for parents in (
            {ref: view for ref, view in PARENTS.items() if ref != slot.parent},
            {**PARENTS, slot.parent: ParentView(slot.parent)},
        ):
            step = planned(desired, claim(kind), parents=parents)
            seek_s = 60.0 if KINDS[slot.parent.kind].listed else None
            text = f"{slot.parent} is not in Zoho yet"
            assert step == Wait(slot.parent, slot.needs, text, seek_s)


def test_a_payment_waits_until_its_invoice_is_open() -> None:
    step = planned(
        wanted("payments"),
        claim("payments"),
        parents=parents_with("invoices", remote_state="draft"),
    )
    assert step == Wait(Ref("invoices", "1"), frozenset({"open"}), "invoices 1 is draft, not open")


def test_a_payment_that_is_in_zoho_does_not_wait_for_its_invoice_again() -> None:
    void = parents_with("invoices", remote_state="void")
    assert planned(wanted("payments"), linked("payments"), parents=void) == Nothing()


def test_a_record_waits_for_a_parent_that_zoho_lost_and_a_linked_one_does_not() -> None:
    lost = parents_with("customers", missing=True, status=Status.FAILED)
    step = planned(wanted("invoices"), claim("invoices"), parents=lost)
    assert isinstance(step, Wait)
    assert step.reason == "customers 1 is no longer in Zoho"
    assert planned(wanted("invoices"), linked("invoices"), parents=lost) == Nothing()


def test_what_is_to_end_waits_for_no_parent() -> None:
    step = planned(wanted("subscriptions", state="cancelled"), linked("subscriptions"), parents={})
    assert step == Transition("z1", "cancel", "cancelled", more=False)


def test_a_record_waits_for_a_new_parent_before_it_is_changed() -> None:
    step = planned(wanted("subscriptions", plan_key="2"), linked("subscriptions"))
    assert isinstance(step, Wait)
    assert step.parent == Ref("plans", "2")


def test_a_create_says_whether_a_change_of_state_follows() -> None:
    for state, more in (("draft", False), ("open", True)):
        step = planned(wanted("invoices", state=state), claim("invoices"))
        assert isinstance(step, Create)
        assert (step.more, step.total) == (more, Decimal(115))


def test_a_subscription_whose_constants_are_in_zoho_is_in_step() -> None:
    known = linked("subscriptions").payload
    assert known is not None
    assert known["auto_collect"] is False
    assert planned(wanted("subscriptions"), linked("subscriptions")) == Nothing()


def test_fields_are_changed_before_the_state_a_step_at_a_time() -> None:
    desired = wanted("invoices", state="open", notes="Thanks")
    step = planned(desired, linked("invoices"))
    assert isinstance(step, Update)
    assert step.more
    assert planned(desired, replace(linked("invoices"), payload=step.wanted)) == Transition(
        "z1", "converttoopen", "open", more=False
    )


def test_a_draft_that_is_void_here_is_opened_and_then_voided() -> None:
    desired = wanted("invoices", state="void")
    assert planned(desired, linked("invoices")) == Transition(
        "z1", "converttoopen", "open", more=True
    )
    assert planned(desired, linked("invoices", "open")) == Transition(
        "z1", "void", "void", more=False
    )
    assert planned(desired, linked("invoices", "void")) == Nothing()


def test_what_is_to_end_is_not_changed_first() -> None:
    desired = wanted("subscriptions", state="cancelled", **{"plan.quantity": 9})
    assert planned(desired, linked("subscriptions")) == Transition(
        "z1", "cancel", "cancelled", more=False
    )
    assert planned(desired, linked("subscriptions", "cancelled")) == Nothing()


def test_a_subscription_that_will_not_renew_is_still_kept_in_step() -> None:
    desired = wanted("subscriptions", state="non_renewing", **{"plan.quantity": 9})
    assert isinstance(planned(desired, claim("subscriptions")), Create)
    assert isinstance(planned(desired, linked("subscriptions", "non_renewing")), Update)


@pytest.mark.parametrize(
    ("kind", "here", "there", "word"),
    [
        ("subscriptions", "cancelled", "live", "give the new one a new key"),
        ("subscriptions", "non_renewing", "live", "change it back"),
        ("invoices", "void", "open", "issue a new one"),
        ("invoices", "open", "draft", "change it back"),
        ("payments", "paid", "reversed", "refund it by hand in Zoho"),
    ],
)
def test_a_state_with_no_way_to_it_fails_with_advice(
    kind: str, here: str, there: str, word: str
) -> None:
    message = advice(planned(wanted(kind, state=there), linked(kind, here)))
    assert message.startswith(f"it is {here} in Zoho and cannot become {there}: ")
    assert word in message


@pytest.mark.parametrize(
    ("kind", "state", "column", "value"),
    [
        ("invoices", "open", "date", "2026-01-09"),
        ("invoices", "open", "invoice_items", [{"name": "Line", "price": 1, "quantity": 1}]),
        ("invoices", "draft", "invoice_number", "INV-2"),
        ("payments", "paid", "amount", Decimal(1)),
        ("payments", "paid", "reference_number", "PAY-2"),
        ("plans", "active", "plan_code", "silver"),
    ],
)
def test_a_field_that_is_fixed_fails_with_the_field_and_the_way_out(
    kind: str, state: str, column: str, value: Any
) -> None:
    step = planned(wanted(kind, **{"state": state, column: value}), linked(kind, state))
    assert f"{column} changed here but is fixed in Zoho ({state}): " in advice(step)
    assert KINDS[kind].lock_advice in advice(step)


def test_a_field_that_is_not_fixed_may_change_on_an_open_invoice() -> None:
    step = planned(wanted("invoices", state="open", notes="Thanks"), linked("invoices", "open"))
    assert isinstance(step, Update)


def test_what_zoho_raises_is_found_and_then_left_alone() -> None:
    child = {"raised_by": "zoho", "subscription_key": "1"}
    parents = parents_with("subscriptions", hints={"child_invoice_id": "i9"})
    del parents[Ref("taxes", "VAT 15")], parents[Ref("items", "tax:VAT 15")]
    step = planned(wanted("invoices", **child), claim("invoices"), parents=parents)
    assert isinstance(step, Find)
    assert (step.purpose, step.hint, step.total) == (Purpose.LINK, "i9", Decimal(115))
    assert (
        planned(wanted("invoices", **child, notes="x"), linked("invoices"), parents=parents)
        == Nothing()
    )
    step = planned(
        wanted("invoices", **child),
        claim("invoices"),
        parents=parents_with("subscriptions", zoho_id=None),
    )
    assert isinstance(step, Wait)


def test_an_id_in_the_mapping_seeds_a_link_on_a_live_organization_only() -> None:
    desired = wanted("customers", zoho_id="z9")
    step = planned(desired, claim("customers"), policy=LIVE_POLICY)
    assert isinstance(step, Find)
    assert (step.purpose, step.zoho_id) == (Purpose.SEED, "z9")
    assert isinstance(planned(desired, claim("customers")), Create)
    assert planned(desired, linked("customers"), policy=LIVE_POLICY) == Nothing()


def test_taxes_and_named_items_are_only_found_and_generic_ones_are_made() -> None:
    for ref, purpose in (
        (Ref("taxes", "VAT 15"), Purpose.LINK),
        (Ref("items", "sku:A"), Purpose.LINK),
    ):
        step = planned(internal_desired(ref, "x"), claim(ref.kind, key=ref.key))
        assert isinstance(step, Find)
        assert step.purpose is purpose
    made = planned(
        internal_desired(Ref("items", "tax:VAT 15"), "x"), claim("items", key="tax:VAT 15")
    )
    assert isinstance(made, Create)
    assert made.payload == {"name": "zohosync x VAT 15", "rate": 0, "tax_id": "z-taxes-VAT 15"}


def test_planning_leaves_what_it_is_given_alone() -> None:
    desired, before = wanted("invoices", state="open"), repr(wanted("invoices", state="open"))
    claimed, known = (
        linked("invoices", hints={LINE_IDS: ["l1"]}),
        repr(linked("invoices", hints={LINE_IDS: ["l1"]})),
    )
    planned(desired, claimed)
    planned(desired, claim("invoices"))
    assert (repr(desired), repr(claimed)) == (before, known)


def test_a_step_has_a_word_and_plain_values_for_people() -> None:
    assert planned_operation(Transition("z", "void", "void", more=False)) == "void"
    assert planned_operation(Find(Purpose.SEED, {})) == "seed"
    assert planned_operation(Nothing()) == "nothing"
    failed = planned(wanted("customers", email=None), claim("customers"))
    assert as_json(failed) == {"step": "fail", "reason": "email is required and is empty"}
    assert as_json(Skip("gone here", gone=True)) == {"step": "skip", "reason": "gone here"}


def test_a_parent_that_will_not_come_by_itself_is_said_to_be_the_cause() -> None:
    view = PARENTS[Ref("customers", "1")]
    assert parent_status_note(None) is None
    assert parent_status_note(view) is None
    assert parent_status_note(replace(view, status=Status.FAILED)) == "customers 1 is failed"


def test_the_same_instant_and_inputs_give_the_same_step() -> None:
    assert claim("customers").claimed_at == NOW
    for kind in MAPPED:
        assert planned(wanted(kind), claim(kind)) == planned(wanted(kind), claim(kind))
