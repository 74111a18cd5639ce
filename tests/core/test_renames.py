"""Whose ending waits for a row that may take its link: tables and properties, no event loop."""

from dataclasses import replace

import pytest

from core.builders import POLICY, ROWS, judged, linked, planned, wanted
from zohosync.core.kinds import KINDS
from zohosync.core.mapping import identity_of
from zohosync.core.records import Claim, Desired, ParentView, Ref
from zohosync.core.renames import heirs_of, naming, outlived, tells
from zohosync.core.steps import Later, Transition, Wait

ENDS = {kind: next(iter(KINDS[kind].states.when_gone.values()), "") for kind in ROWS}
ENDING = [kind for kind, state in ENDS.items() if state]


def gone(kind: str) -> Claim:
    """A claim on record 1, which is in Zoho and whose row is not there any more."""
    state = "open" if kind == "invoices" else None
    return linked(kind, state=state, identity=identity_of(wanted(kind)))


def other(kind: str, **columns: object) -> Desired:
    return wanted(kind, key="2", **columns)


@pytest.mark.parametrize("kind", ENDING)
def test_an_ending_waits_for_the_row_that_says_the_same_and_names_it(kind: str) -> None:
    step = planned(None, gone(kind), policy=replace(POLICY, when_gone=ENDS))
    assert isinstance(step, Transition)
    assert step.gone
    assert heirs_of(gone(kind), [other(kind)], {}) == [Ref(kind, "2")]
    waits = outlived(step, gone(kind), [other(kind)], {})
    assert isinstance(waits, Wait)
    assert waits.parent == Ref(kind, "2")
    assert f"{kind} 2" in waits.reason
    assert judged(waits, None, gone(kind)).gone, "its key may be somebody else's by then"
    assert outlived(step, gone(kind), [], {}) is step


@pytest.mark.parametrize("kind", ENDING)
def test_nothing_is_ended_whose_row_is_there_again(kind: str) -> None:
    step = planned(None, gone(kind), policy=replace(POLICY, when_gone=ENDS))
    assert isinstance(step, Transition)
    later = outlived(step, gone(kind), [wanted(kind), other(kind)], {})
    assert isinstance(later, Later)
    assert judged(later, None, gone(kind)).gone is None


@pytest.mark.parametrize("kind", ENDING)
def test_no_heir_is_itself_or_has_a_record_of_its_own_or_is_not_to_be_there(kind: str) -> None:
    has_one = {Ref(kind, "2"): ParentView(Ref(kind, "2"), zoho_id="z2")}
    known = {Ref(kind, "2"): ParentView(Ref(kind, "2"))}
    assert heirs_of(gone(kind), [wanted(kind)], {}) == []
    assert heirs_of(gone(kind), [other(kind)], has_one) == []
    assert heirs_of(gone(kind), [other(kind)], known) == [Ref(kind, "2")]
    assert heirs_of(gone(kind), [other(kind, eligible=False)], {}) == []
    for state in KINDS[kind].states.ended:
        assert heirs_of(gone(kind), [other(kind, state=state)], {}) == []


@pytest.mark.parametrize("kind", ENDING)
def test_every_name_of_a_row_is_a_column_that_its_mapping_may_have(kind: str) -> None:
    identity = identity_of(wanted(kind))
    assert tells(KINDS[kind], identity)
    said = naming(KINDS[kind], identity)
    assert said
    assert all(str(ROWS[kind][column]) == value for column, value in said.items())
