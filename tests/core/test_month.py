"""The month's books: what explains the differences adds up to them."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from zohosync.core.month import Entry, lines_of, month_of

AMOUNTS = st.none() | st.decimals(0, 10_000, places=2)
ENTRIES = st.lists(
    st.builds(
        Entry, st.sampled_from("abcdef"), st.sampled_from(["ZAR", "EUR"]), AMOUNTS, AMOUNTS,
        st.none() | st.sampled_from(["failed: no e-mail", "waiting"]),
    )
)  # fmt: skip


@given(ENTRIES)
def test_what_is_explained_adds_up_to_what_is_apart(entries: list[Entry]) -> None:
    for line in lines_of("invoices", entries):
        count = sum(each.count for each in line.explained)
        amount = sum((each.amount for each in line.explained), Decimal(0))
        assert (count, amount) == line.apart


@given(ENTRIES)
def test_currencies_are_never_mixed_and_nothing_is_left_out(entries: list[Entry]) -> None:
    lines = {line.currency: line for line in lines_of("invoices", entries)}
    assert lines.keys() == {entry.currency for entry in entries}
    for currency, line in lines.items():
        mine = [entry for entry in entries if entry.currency == currency]
        assert line.here == sum(entry.here is not None for entry in mine)
        assert line.there_sum == sum((entry.there or Decimal(0) for entry in mine), Decimal(0))


def test_a_row_that_lacks_is_explained_by_its_reason() -> None:
    entries = [
        Entry("1 INV-1", "ZAR", Decimal(100), None, "failed: no e-mail"),
        Entry("2 INV-2", "ZAR", Decimal(50), Decimal(40)),
        Entry("INV-9", "ZAR", None, Decimal(7)),
        Entry("3 INV-3", "ZAR", Decimal(5), Decimal(5)),
    ]
    (line,) = lines_of("invoices", entries)
    assert line.apart == (0, Decimal(103))
    assert [(each.why, each.count, each.amount) for each in line.explained] == [
        ("failed: no e-mail", 1, Decimal(100)),
        ("another amount in Zoho", 0, Decimal(10)),
        ("only in Zoho: no row here", -1, Decimal(-7)),
    ]


def test_a_month_is_written_as_a_month() -> None:
    assert month_of("2026-10") == "2026-10"
    assert [month_of(text) for text in ("2026-13", "10-2026", "2026-1", "")] == [None] * 4
