"""The numbers of the performance guide that stand in the code: its limits, batches and classes."""

from datetime import UTC, datetime, timedelta

import pytest

from zohosync.core.governor import MINUTE_S, PLANS, JournalView
from zohosync.core.lanes import Asked, Books, Counted, choose
from zohosync.core.records import BULK, LIVE, NORMAL, ErrorClass

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
GUIDE = PLANS["guide"]


def test_the_plan_guide_has_the_guides_limits() -> None:
    assert (GUIDE.per_minute, GUIDE.per_second, GUIDE.per_day) == (120, 10, 25_000)
    assert GUIDE.warn_at == 0.8 * 25_000
    assert GUIDE.block_s == 600
    pace = GUIDE.pace
    assert (pace.start, pace.least, pace.most) == (5, 1, 10)
    assert (pace.old, pace.shrink_over, pace.grow_under) == (0.7, 0.3, 0.1)


def test_there_are_the_guides_seven_classes_of_error() -> None:
    assert [str(each) for each in ErrorClass] == [
        "rate_limit", "authentication", "validation", "not_found", "server_error",
        "network_error", "unknown",
    ]  # fmt: skip


def begun(kind: str, count: int) -> list[Counted]:
    """Calls of a backfill, the last of them two seconds ago, one and a half seconds apart."""
    starts = [NOW - timedelta(seconds=2 + 1.5 * number) for number in range(count)]
    return [
        Counted(BULK, at, at + timedelta(seconds=MINUTE_S + 0.5), overload=False, kind=kind)
        for at in starts
    ]


@pytest.mark.parametrize(
    ("kind", "size", "wait_s"),
    [("customers", 5, 3.0), ("subscriptions", 5, 1.0), ("invoices", 10, None)],
)
def test_a_backfill_rests_after_its_batch_and_nobody_else_does(
    kind: str, size: int, wait_s: float | None
) -> None:
    """The pause of invoices is two seconds: it is over."""
    for count, rests in ((size - 1, False), (size, wait_s is not None)):
        books = Books(calls=begun(kind, count))
        view = JournalView(NOW, minute_until=[call.until for call in books.calls])
        for lane, of in ((LIVE, kind), (NORMAL, kind), (BULK, "products")):
            assert choose(view, books, GUIDE, [Asked(lane, of)]).places == (0,)
        choice = choose(view, books, GUIDE, [Asked(BULK, kind)])
        assert choice.places == (() if rests else (0,))
        if rests and wait_s is not None:
            assert choice.reason == "batch"
            assert choice.not_before == NOW + timedelta(seconds=wait_s)
