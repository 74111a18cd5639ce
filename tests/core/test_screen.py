"""A table fits the terminal, and breaks no word while there is another way."""

from hypothesis import given
from hypothesis import strategies as st

from zohosync.cli.screen import fitted

HEALTH = ["kind", "total", "eligible", "synced", "%", "pending", "failed", "skipped", "oldest due"]
ROW = ["subscriptions", "258", "250", "247", "98.8", "257", "1", "8", "5 minutes ago"]


def test_a_table_that_fits_is_as_wide_as_its_cells() -> None:
    assert fitted([["kind", "a"], ["plans", "17"]], 80) == ([5, 2], 3)


def test_the_gaps_give_way_before_the_columns_and_these_before_a_word_is_broken() -> None:
    widths, gap = fitted([HEALTH, ROW], 80)
    assert (gap, sum(widths) + gap * (len(widths) - 1) <= 80) == (1, True)
    words = [
        max(map(len, f"{name} {cell}".split())) for name, cell in zip(HEALTH, ROW, strict=True)
    ]
    assert all(have >= word for have, word in zip(widths, words, strict=True))


@given(
    st.integers(1, 6).flatmap(
        lambda n: st.lists(
            st.lists(st.text("ab c", max_size=40), min_size=n, max_size=n), min_size=1
        )
    ),
    st.integers(20, 160),
)
def test_every_table_fits_where_there_is_a_character_for_each_column(
    lines: list[list[str]], width: int
) -> None:
    widths, gap = fitted(lines, width)
    assert min(widths) >= 1
    assert sum(widths) + gap * (len(widths) - 1) <= width
