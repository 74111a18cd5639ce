"""Rows here beside records there: nobody is given what may be somebody else's."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.builders import wanted
from zohosync.core.compare import (
    Here,
    Sort,
    There,
    Verdict,
    digest_of,
    here_of,
    lacks,
    shifted,
    sort_out,
    there_of,
)
from zohosync.core.covered import Covering, Share, covered_of, sort_covering
from zohosync.core.kinds import KINDS
from zohosync.core.pairs import stands

CUSTOMERS, INVOICES = KINDS["customers"], KINDS["invoices"]


def here(key: str, email: str | None, name: str = "", **more: object) -> Here:
    fields = {"email": email, "display_name": name}
    names, likes = digest_of(fields, ("email",)), digest_of(fields, ("display_name",))
    return Here(key, (names,), (likes,), **more)  # type: ignore[arg-type]


def there(zoho_id: str, email: str, name: str = "") -> There:
    return there_of(CUSTOMERS, zoho_id, {"email": email, "display_name": name})


def sorted_as(heres: Sequence[Here], theres: Sequence[There]) -> dict[str | None, Verdict]:
    return {each.key or each.zoho_id: each for each in sort_out(CUSTOMERS, heres, theres)}


def test_an_email_that_is_there_once_and_here_once_is_a_match_whatever_its_case() -> None:
    found = sorted_as([here("1", " Ada@Example.com ")], [there("z1", "ada@example.COM", "A")])
    assert (found["1"].sort, found["1"].zoho_id) == (Sort.MATCHES, "z1")


@pytest.mark.parametrize(
    ("heres", "theres"),
    [
        ([here("1", "a@x")], [there("z1", "a@x", "A"), there("z2", "a@x", "B")]),
        ([here("1", "a@x"), here("2", "a@x")], [there("z1", "a@x")]),
        ([here("1", "a@x", "Ada")], [there("z1", "b@x", "Ada")]),
        ([here("1", "a@x"), here("2", "a@x", linked="z1")],
         [there("z1", "a@x", "A"), there("z2", "a@x", "B")]),
    ],
    ids=["twice there", "twice here", "a name alone", "twice on both sides"],
)  # fmt: skip
def test_what_is_not_beyond_doubt_is_left_to_a_person(
    heres: list[Here], theres: list[There]
) -> None:
    for verdict in sort_out(CUSTOMERS, heres, theres):
        if verdict.key and verdict.sort is not Sort.LINKED:
            assert verdict.sort is Sort.AMBIGUOUS
            assert verdict.zoho_id is None
            assert verdict.candidates


def test_of_a_record_that_is_there_twice_the_linked_one_is_kept_else_the_one_with_money() -> None:
    twins = [there("z1", "a@x", "Ada"), there("z2", "a@x", "Ada")]
    linked = sorted_as([here("1", "a@x", "Ada", linked="z2")], twins)["1"]
    assert (linked.sort, linked.zoho_id, linked.candidates) == (Sort.DOUBLE, "z2", ("z1",))
    rich = there_of(
        CUSTOMERS, "z9", {"email": "a@x", "display_name": "Ada", "outstanding": Decimal(5)}
    )
    unlinked = sorted_as([here("1", "a@x", "Ada")], [*twins, rich])["1"]
    assert (unlinked.sort, unlinked.zoho_id) == (Sort.DOUBLE, None)
    assert unlinked.candidates == ("z9", "z1", "z2")
    assert unlinked.reason is not None
    assert "keep z9: money hangs on it" in unlinked.reason


@pytest.mark.parametrize(
    ("seed", "reason"),
    [("z7", "of this organisation"), ("z2", "somebody else"), ("z1", None)],
)
def test_the_mappings_own_id_is_verified_and_never_trusted(seed: str, reason: str | None) -> None:
    theres = [there("z1", "a@x", "Ada"), there("z2", "b@x", "Bob")]
    found = sorted_as([here("1", "a@x", "Ada", seed=seed)], theres)["1"]
    if reason is None:
        assert (found.sort, found.zoho_id) == (Sort.MATCHES, "z1")
    else:
        assert found.zoho_id is None
        assert reason in (found.reason or "")


def test_an_invoice_of_the_same_number_and_another_total_is_in_doubt() -> None:
    desired = wanted("invoices")
    row = here_of(
        INVOICES, desired, {**desired.payload, "customer_id": "c1"}, linked=None, live=False
    )
    listed = {"invoice_number": "INV-1", "customer_id": "c1", "total": Decimal(90)}
    (verdict,) = sort_out(INVOICES, [row], [there_of(INVOICES, "z1", listed)])
    assert verdict.sort is Sort.AMBIGUOUS
    assert "total" in (verdict.reason or "")


def test_of_several_that_are_one_the_one_that_the_mapping_names_is_kept() -> None:
    theres = [there(f"z{n}", "a@x", "Ada") for n in range(3)]
    found = sorted_as([here("1", "a@x", "Ada", seed="z1")], theres)["1"]
    assert (found.sort, found.zoho_id, found.candidates) == (Sort.DOUBLE, "z1", ("z0", "z2"))
    assert found.reason == "3 in Zoho are this one; keep z1: it is this row's own"


EMAILS, NAMES = st.sampled_from(["a@x", "b@x", "c@x", None]), st.sampled_from(["Ada", "Bob", ""])


@st.composite
def books(draw: st.DrawFn) -> tuple[list[Here], list[There]]:
    theres = [
        there(f"z{n}", draw(EMAILS) or "", draw(NAMES)) for n in range(draw(st.integers(0, 6)))
    ]
    ids = st.sampled_from([each.zoho_id for each in theres] or ["none"])
    heres, taken = [], set[str]()
    for n in range(draw(st.integers(0, 6))):
        linked = draw(st.none() | ids)
        linked = None if linked in taken else linked
        taken |= {linked} if linked else set()
        seed = draw(st.none() | ids)
        heres.append(here(f"k{n}", draw(EMAILS), draw(NAMES), linked=linked, seed=seed))
    return heres, theres


@given(books())
def test_no_record_is_ever_given_to_two_rows_and_no_link_is_taken_away(
    both: tuple[list[Here], list[There]],
) -> None:
    heres, theres = both
    verdicts = sort_out(CUSTOMERS, heres, theres)
    given_ids = Counter(each.zoho_id for each in verdicts if each.key and each.zoho_id)
    assert all(count == 1 for count in given_ids.values())
    assert [each.key for each in verdicts if each.key] == [each.key for each in heres]
    by_key = {each.key: each for each in verdicts if each.key}
    for each in heres:
        if each.linked:
            assert by_key[each.key].zoho_id == each.linked
    for verdict in verdicts:
        assert verdict.zoho_id not in verdict.candidates
        assert not (verdict.sort is Sort.AMBIGUOUS and verdict.zoho_id)


@given(books())
def test_every_record_there_stands_somewhere(both: tuple[list[Here], list[There]]) -> None:
    heres, theres = both
    verdicts = sort_out(CUSTOMERS, heres, theres)
    named = {each.zoho_id for each in verdicts} | {c for each in verdicts for c in each.candidates}
    assert {each.zoho_id for each in theres} <= named


@given(books())
def test_what_is_found_does_not_hang_on_the_order_of_either_list(
    both: tuple[list[Here], list[There]],
) -> None:
    heres, theres = both
    forward = {each for each in sort_out(CUSTOMERS, heres, theres) if each.key}
    backward = {each for each in sort_out(CUSTOMERS, heres[::-1], theres[::-1]) if each.key}
    assert {(each.key, each.zoho_id, each.sort) for each in forward} == {
        (each.key, each.zoho_id, each.sort) for each in backward
    }


@given(books())
def test_linking_what_is_sure_and_comparing_again_changes_no_pair(
    both: tuple[list[Here], list[There]],
) -> None:
    heres, theres = both
    first = {each.key: each.zoho_id for each in sort_out(CUSTOMERS, heres, theres) if each.key}
    relinked = [Here(e.key, e.names, e.likes, (), first[e.key], e.seed) for e in heres]
    second = {each.key: each.zoho_id for each in sort_out(CUSTOMERS, relinked, theres) if each.key}
    assert all(second[key] == zoho_id for key, zoho_id in first.items() if zoho_id)


def test_a_row_that_would_be_made_makes_a_list_be_read_twice() -> None:
    rows = [here("1", "a@x"), here("2", "b@x", makes=False)]
    verdicts = sort_out(CUSTOMERS, rows, [])
    assert lacks(rows, verdicts)
    assert not lacks(rows[1:], verdicts[1:])


def test_new_rows_at_the_head_shift_a_list_and_other_repeats_tear_it() -> None:
    assert shifted(["a", "b", "c"], ["c", "d", "e"], ["c"])
    assert shifted(["a", "b"], ["c", "d"], [])
    assert not shifted(["a", "b", "c"], ["d", "a", "e"], ["a"])
    assert not shifted(["a", "b", "c"], ["b", "d", "e"], ["b"])


def covering(key: str, amount: int, linked: str | None = None) -> Covering:
    return Covering(key, linked, (Share("invoices 1", "i1", Decimal(amount)),))


def test_money_that_no_linked_payment_accounts_for_is_not_paid_again() -> None:
    rows = [covering("1", 40, "p1"), covering("2", 60)]
    (first, _), (second, _) = sort_covering(rows, {"i1": Decimal(100)})
    assert first.sort is Sort.LINKED
    assert (second.sort, second.candidates) == (Sort.AMBIGUOUS, ("i1",))
    (_, _), (free, _) = sort_covering(rows, {"i1": Decimal(40)})
    assert free.sort is Sort.ONLY_HERE
    (short, pair), _ = sort_covering(rows, {"i1": Decimal(10)})
    assert (short.sort, pair) == (Sort.DIFFERS, (Decimal(40), Decimal(10)))


def test_a_draft_or_void_invoice_shows_no_money() -> None:
    paid = {"total": "100.00", "balance": "60.00", "status": "partially_paid"}
    assert covered_of(paid) == 40
    assert covered_of({**paid, "status": "void"}) == 0
    assert covered_of({"status": "sent"}) == 0


def test_what_only_resembles_a_record_does_not_stand_as_the_one_that_was_found() -> None:
    """Its e-mail was what told; since then the key is somebody else's, of the same name."""
    ada = there("z1", "ada@x", "Ada")
    assert stands(here("1", "ada@x", "Ada"), ada, by_hand=False)
    assert not stands(here("1", "other@x", "Ada"), ada, by_hand=False)
    assert stands(here("1", "other@x", "Ada"), ada, by_hand=True), "a person's word"
    assert stands(here("1", "other@x", "Ada", found_only=True), ada, by_hand=False)
    assert stands(here("1", "other@x", "Ada", seed="z1"), ada, by_hand=False)
    assert not stands(here("1", "other@x", "Bob", seed="z1"), ada, by_hand=False)
    set_aside = replace(here("1", "ada@x", "Ada"), excluded=frozenset({"z1"}))
    assert not stands(set_aside, ada, by_hand=False), "somebody said meanwhile that it is not it"
    assert stands(set_aside, ada, by_hand=True), "and now that it is"


def test_a_number_does_not_stand_while_whose_it_is_is_not_settled() -> None:
    fields = {"invoice_number": "INV-1", "total": Decimal(115)}
    record = there_of(INVOICES, "z1", {**fields, "customer_id": "c1"})
    names = tuple(digest_of(fields, group) for group in INVOICES.match)
    row = Here("1", names, (None,) * len(INVOICES.resemble), (None, Decimal(115)))
    assert not stands(row, record, by_hand=False)
