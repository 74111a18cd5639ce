"""The table of statuses: what the decisions do is in it, and every status has an exit."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.builders import claim, judged
from core.test_life import EVENTS, QUIET, ROW, Event, Life, Remote
from core.test_outcome import FINDS, REPLIES, WRITES, before
from zohosync.core.records import ErrorClass, Problem, Ref, Status
from zohosync.core.replies import Reply
from zohosync.core.states import CHANGES, MEANING, OPERATIONS, as_markdown, foreseen
from zohosync.core.steps import Fail, Nothing, Skip, Step, Wait

ROOT = Path(__file__).resolve().parents[2]
QUERIES = ROOT / "src" / "zohosync" / "store" / "queries"
STILL: tuple[Step, ...] = (
    Nothing(),
    Skip("gone here", gone=True),
    Fail(Problem(ErrorClass.VALIDATION, "no")),
    Wait(Ref("customers", "1"), frozenset(), "not there"),
)


def test_the_page_is_the_table() -> None:
    page = (ROOT / "docs" / "states.md").read_text(encoding="utf-8")
    assert page == as_markdown(), "write core.states.as_markdown() to docs/states.md"


@given(
    step=st.sampled_from([*WRITES, *FINDS]),
    reply=REPLIES,
    roll=st.floats(0, 0.999),
    down=st.booleans(),
)
def test_what_a_reply_makes_of_a_record_is_in_the_table(
    step: Step, reply: Reply, roll: float, down: bool
) -> None:
    end = judged(step, reply, before(step), roll=roll, down=down)
    assert foreseen(Status.SYNCING, end.status, end.result), (end.status, end.result)


@pytest.mark.parametrize("step", STILL, ids=lambda step: type(step).__name__)
def test_what_a_step_without_calls_makes_of_a_record_is_in_the_table(step: Step) -> None:
    end = judged(step, None, claim("invoices"))
    assert foreseen(Status.SYNCING, end.status, end.result)


@pytest.mark.parametrize("kind", ROW)
@given(events=st.lists(EVENTS, max_size=10))
def test_every_status_of_a_life_follows_from_the_one_before(kind: str, events: list[Event]) -> None:
    life = Life(kind, Remote(kind), claim(kind))
    for event in [*events, QUIET, QUIET]:
        was = life.held.status
        if event.row is not None:
            life.row = event.row
            life.mark()
            assert life.held.status == was or foreseen(was, life.held.status)
            was = life.held.status
        if life.due_at is None:
            assert was in (Status.SYNCED, Status.FAILED, Status.SKIPPED, Status.UNCERTAIN)
            continue
        assert foreseen(was, Status.SYNCING)
        life.attempt(event)
        assert foreseen(Status.SYNCING, life.held.status)


@pytest.mark.parametrize("status", Status)
def test_every_status_can_be_reached_left_and_explained(status: Status) -> None:
    assert any(change.after == status for change in CHANGES)
    assert any(change.before == status for change in CHANGES)
    assert all(MEANING[status])


def test_every_status_leads_to_in_step() -> None:
    leads = {Status.SYNCED}
    for _ in Status:
        leads |= {c.before for c in CHANGES if c.after in leads and c.before is not None}
    assert leads == set(Status)


def test_only_an_attempt_judges() -> None:
    for change in CHANGES:
        judges = change.by == "settle_record"
        assert judges == bool(change.results)
        assert not judges or change.before is Status.SYNCING
        rests = (Status.PENDING, Status.SYNCING, Status.UNCERTAIN)
        assert judges or change.after in rests or change.by == "link_records"


def test_a_change_that_the_table_lacks_is_not_foreseen() -> None:
    assert not foreseen(Status.SYNCED, Status.FAILED)
    assert not foreseen(Status.SYNCING, Status.SYNCED, "failed")
    assert not foreseen(None, Status.FAILED)
    assert foreseen(Status.SYNCING, Status.PENDING, "closed: minute")
    assert all(foreseen(Status.SYNCING, Status.SYNCED, operation) for operation in OPERATIONS)


def test_every_query_that_sets_a_status_is_in_the_table_and_every_named_one_does() -> None:
    sets = {
        path.stem
        for path in QUERIES.glob("*.sql")
        if (statement := re.sub(r"--[^\n]*", "", path.read_text(encoding="utf-8")))
        and re.search(r"(update|into) zohosync\.records\b", statement)
        and re.search(r"(\bset|,)\s+status = ", statement)
    }
    named = {change.by for change in CHANGES} - {
        "park_parent",
        "hold_records",
    }  # these make records and change none
    assert sets == named
