"""Whatever is said, lost, renamed or deleted: nothing is made twice, and no link is shared."""

from dataclasses import dataclass
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.town import COLUMNS, Row, Town
from zohosync.core.records import Status
from zohosync.core.settling import Word

KEYS = ("1", "2", "3")
TROUBLES = ("none", "none", "none", "lost", "never", "late", "crash")


@dataclass(frozen=True)
class Act:
    """One thing that happens; what of it matters depends on `what`."""

    what: str
    key: str
    other: str
    who: int
    trouble: str
    word: Word
    late_s: float
    lag_s: float
    idle_s: float


ACTS = st.builds(
    Act,
    what=st.sampled_from(
        ("attempt", "attempt", "attempt", "row", "delete", "rename", "word", "word")
    ),
    key=st.sampled_from(KEYS),
    other=st.sampled_from(KEYS),
    who=st.integers(0, 2),
    trouble=st.sampled_from(TROUBLES),
    word=st.sampled_from(Word),
    late_s=st.sampled_from((1.0, 20.0, 290.0)),
    lag_s=st.sampled_from((0.0, 0.0, 60.0)),
    idle_s=st.sampled_from((0.0, 1.0, 40.0, 700.0, 4_000.0)),
)


def happen(town: Town, act: Act) -> None:
    town.now += timedelta(seconds=act.idle_s)
    here = town.rows.get(act.key)
    match act.what:
        case "attempt":
            town.attempt(act.key, act.trouble, act.late_s, act.lag_s)
        case "row" if here is None:
            town.changes(act.key, Row(act.who))
        case "row" if here is not None:
            town.changes(act.key, Row(here.who, here.turn + 1))
        case "delete" if here is not None:
            town.changes(act.key, None)
        case "rename" if here is not None and act.other not in town.rows:
            town.changes(act.key, None)
            town.changes(act.other, here)
        case "word":
            town.says(act.key, act.word, act.who)


@pytest.mark.parametrize("kind", COLUMNS)
@settings(max_examples=150)
@given(acts=st.lists(ACTS, max_size=40))
def test_no_word_and_no_rename_makes_a_second_one_or_shares_a_link(
    kind: str, acts: list[Act]
) -> None:
    town = Town(kind)
    for act in acts:
        happen(town, act)  # the town itself asserts
        for made in town.remote:
            town.owner(made.zoho_id)
    for _ in range(80):
        town.now += timedelta(seconds=700)
        town.catch_up()
        for key in list(town.books):
            town.attempt(key, "none", 0.0, 0.0)
    for key, book in town.books.items():
        assert book.held.intent is None or book.held.status is Status.UNCERTAIN
        if key not in town.rows:
            continue
        if book.held.status is Status.SYNCED:
            assert book.held.zoho_id is not None
        else:
            assert book.problem is not None, f"{key} is {book.held.status}"


def test_a_row_that_is_renamed_while_its_create_is_on_its_way_is_made_once() -> None:
    town = Town("customers")
    town.changes("1", Row(0))
    town.attempt("1", "crash", 290.0, 0.0)
    town.changes("1", None)
    town.changes("2", Row(0))
    for _ in range(200):
        town.now += timedelta(seconds=30)
        for key in ("1", "2"):
            town.attempt(key, "none", 0.0, 0.0)
    assert len(town.remote) == 1
    assert town.books["2"].held.zoho_id == "z0"
    assert town.books["2"].held.status is Status.SYNCED
