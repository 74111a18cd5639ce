"""The file in which a person says which record is which row: all of it counts, or nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zohosync.core.linkfile import COLUMNS, NEW, Line, State, judged, lines_of

STATES = {
    "customers": State(
        {"1": None, "2": None, "3": "z3"}, frozenset({"z1", "z2", "z3"}), {"z3": "3", "z9": "9"}
    )
}


def lines(*said: tuple[str, str]) -> list[Line]:
    return [Line(n, "customers", key, zoho_id) for n, (key, zoho_id) in enumerate(said, 2)]


def test_what_is_filled_in_is_taken_and_blank_lines_say_nothing() -> None:
    found, faults = lines_of(
        [list(COLUMNS), ["customers", "1", "Ada", "z1", "", ""], ["customers", "2", "", "", "", ""],
         [], ["customers", "2", "Bob", "new", "z7", ""]]
    )  # fmt: skip
    said = judged(found, STATES)
    assert (faults, said.faults) == ([], [])
    assert dict(said.links) == {"customers": {"1": "z1"}}
    assert dict(said.fresh) == {"customers": {"2": ("z7",)}}


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ([("7", "z1")], "there is no row customers '7'"),
        ([("1", "z8")], "z8 was not seen"),
        ([("1", "z1"), ("1", "z2")], "more than once"),
        ([("1", "z1"), ("2", "z1")], "given to more than one row"),
        ([("1", "z3")], "linked to customers 3 already"),
        ([("3", "z1")], "linked to z3 already"),
        ([("3", NEW)], "linked to z3 already"),
    ],
    ids=["no such row", "unknown", "row twice", "id twice", "another's", "crossed", "new"],
)
def test_a_wrong_line_is_named_with_its_number(said: list[tuple[str, str]], fault: str) -> None:
    found = judged(lines(*said), STATES)
    assert any(fault in each and each.startswith("line 2: ") for each in found.faults)


def test_a_file_without_its_columns_or_of_an_unknown_kind_is_named() -> None:
    assert lines_of([]) == ([], ["the file is empty"])
    assert lines_of([["kind", "key"]])[1] == ["line 1: there is no column zoho_id"]
    assert "no kind 'invoice'" in judged([Line(2, "invoice", "1", "z1")], STATES).faults[0]


@given(st.lists(st.tuples(st.sampled_from("1237"), st.sampled_from(["z1", "z2", "z3", "z8", NEW]))))
def test_a_file_without_fault_gives_no_record_to_two_rows(said: list[tuple[str, str]]) -> None:
    found = judged(lines(*said), STATES)
    if not found.faults:
        links = found.links.get("customers", {})
        assert len(set(links.values())) == len(links)
        assert not set(links) & set(found.fresh.get("customers", []))
        assert "z3" not in links.values()
