"""Whose ending waits for a row that may take its link: tables and properties, no event loop."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.builders import POLICY, ROWS, linked, planned, wanted
from zohosync.core.kinds import KINDS
from zohosync.core.mapping import identity_of
from zohosync.core.records import Claim, Desired, ParentView, Ref
from zohosync.core.renames import heirs_of, naming, outlived, tells
from zohosync.core.steps import Transition, Wait

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
    heirs = heirs_of(gone(kind), [other(kind)], {})
    assert heirs == [Ref(kind, "2")]
    waits = outlived(step, heirs)
    assert isinstance(waits, Wait)
    assert waits.parent == Ref(kind, "2")
    assert f"{kind} 2" in waits.reason
    assert outlived(step, []) is step


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


@given(st.sampled_from(ENDING), st.data())
def test_a_row_that_says_anything_else_of_itself_is_no_heir(kind: str, data: st.DataObject) -> None:
    column = data.draw(st.sampled_from(sorted(naming(KINDS[kind], identity_of(wanted(kind))))))
    said = data.draw(st.text(min_size=1).filter(lambda text: text.strip() != ROWS[kind][column]))
    heirs = heirs_of(gone(kind), [other(kind, **{column: said})], {})
    assert heirs == []
