"""What work costs: calls of a step, and the time that calls take under limits."""

from decimal import Decimal

import pytest

from zohosync.core.figures import (
    calls_of,
    cost_of,
    moves_between,
    reads_spared,
    remaining_s,
    span_words,
)
from zohosync.core.governor import PLANS
from zohosync.core.kinds import KINDS
from zohosync.core.records import Desired, ParentView, Ref, Slot
from zohosync.core.replies import Found
from zohosync.core.steps import Create, Find, Nothing, Purpose, Step, Transition, Update

INVOICE = KINDS["invoices"]


def test_a_minute_limit_sets_the_pace() -> None:
    cost = cost_of(1_000, PLANS["standard"])
    assert cost.days == 1
    assert 10.0 <= cost.minutes <= 10.1  # 100 a minute, with the guard band


@pytest.mark.parametrize(
    ("calls", "used", "days"), [(0, 0, 0), (1_000, 0, 1), (1_001, 0, 2), (1_000, 1, 2), (5, 999, 2)]
)
def test_what_does_not_fit_into_today_takes_another_day(calls: int, used: int, days: int) -> None:
    assert cost_of(calls, PLANS["standard"], used_today=used).days == days


def test_without_limits_it_takes_as_long_as_the_calls_in_flight() -> None:
    cost = cost_of(6_400, PLANS["unlimited"])
    assert cost.days == 1
    assert 0 < cost.minutes < 5


def test_the_cost_is_said_in_words() -> None:
    assert cost_of(1_200, PLANS["premium"]).words == "1,200 calls, about 12 minutes"
    assert "over 3 days" in cost_of(2_500, PLANS["standard"]).words
    assert cost_of(1, PLANS["premium"]).words == "1 call, about 1 s"


@pytest.mark.parametrize(
    ("step", "state", "calls"),
    [
        (Create({}, {}, Decimal(1), more=False), "draft", 1),
        (Create({}, {}, Decimal(1), more=True), "open", 2),
        (Update("1", {}, {}, None, more=False), "open", 1),
        (Update("1", {}, {}, None, more=True), "open", 2),
        (Transition("1", "converttoopen", "open", more=False), "open", 1),
        (Find(Purpose.LINK, {}), "open", 1),
        (Nothing(), "open", 0),
    ],
)
def test_a_step_costs_its_call_and_the_changes_of_state_after_it(
    step: Step, state: str, calls: int
) -> None:
    assert calls_of(step, INVOICE, state) == calls


def test_a_write_spares_the_look_ups_of_what_is_known() -> None:
    tax, item, customer = Ref("taxes", "VAT"), Ref("items", "*"), Ref("customers", "1")
    slots = tuple(Slot(parent, ()) for parent in (tax, tax, item, customer))
    desired = Desired(Ref("invoices", "1"), slots=slots)
    known = {ref: ParentView(ref, f"z-{ref.key}") for ref in (tax, customer)}
    create = Create({}, {}, None, more=False)
    assert reads_spared(create, desired, known) == 1
    assert reads_spared(create, desired, {**known, item: ParentView(item, "z")}) == 2
    assert reads_spared(Nothing(), desired, known) == 0
    assert reads_spared(create, None, known) == 0
    assert reads_spared(Find(Purpose.LINK, {}), desired, known, Found((), spared=1)) == 1


def test_a_state_that_cannot_be_reached_costs_no_moves() -> None:
    assert moves_between(INVOICE, "void", "open") == 0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "about 1 s"),
        (42, "about 42 s"),
        (600, "about 10 minutes"),
        (7_200, "about 2.0 hours"),
        (259_200, "about 3.0 days"),
    ],
)
def test_a_span_is_said_for_people(seconds: float, words: str) -> None:
    assert span_words(seconds) == words


def test_the_rest_is_foretold_from_the_pace_so_far() -> None:
    assert remaining_s(50, 100, 10.0) == 20.0
    assert remaining_s(0, 100, 10.0) is None
