"""The guide's numbers, under the guide's names: what each feeds, and that they are the guide's."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from zohosync.core.adaptive import Pace
from zohosync.core.governor import PLANS, JournalView, Limits, admit
from zohosync.core.guide import MEANINGS, batch_sizes

NOW = datetime(2026, 3, 1, tzinfo=UTC)
# The central config of the guide (docs: the requirement's no. 26), word for word.
CONFIG = """
REQUEST_DELAY 150; BATCH_DELAY 3000; MAX_REQUESTS_PER_MINUTE 120; MAX_RETRIES 3;
RETRY_BASE_DELAY 5000; RATE_LIMIT_RETRY_DELAY 600000; TOKEN_CACHE_TTL 3600000;
ORG_DATA_CACHE_TTL 86400000; SYNC_STATUS_CACHE_TTL 30000; METRICS_CALCULATION_INTERVAL 86400000;
HEALTH_CHECK_INTERVAL 3600000; ALERT_CHECK_INTERVAL 1800000; SYNC_DEBOUNCE_MS 300000;
BATCH_UPDATE_INTERVAL 300000
"""
GUIDE = {
    name.lower(): int(value)
    for name, value in (each.split() for each in CONFIG.replace("\n", " ").split(";"))
}


def test_there_is_each_number_of_the_guides_under_its_name_and_with_its_value() -> None:
    assert {name: meaning.value for name, meaning in MEANINGS.items()} == GUIDE


def test_the_plan_holds_the_guides_pace_and_limits() -> None:
    guide = PLANS["guide"]
    assert (guide.gap_s, guide.per_minute, guide.block_s) == (0.15, 120, 600.0)
    assert [guide.pace.batch_of(kind) for kind in ("customers", "subscriptions")] == [
        (5, 5.0),
        (5, 3.0),
    ]
    assert [guide.pace.batch_of(kind) for kind in ("invoices", "payments", "plans")] == [
        (10, 2.0),
        (10, 2.0),
        (5, 3.0),
    ]


@pytest.mark.parametrize("value", [{"customers": 4, "payments": 8}, "customers=4, payments = 8"])
def test_sizes_are_a_table_or_text(value: Any) -> None:
    assert batch_sizes(value) == {"customers": 4, "payments": 8}


@pytest.mark.parametrize(
    ("value", "word"),
    [(3, "table"), ({"plans": 5}, "plans"), ({"customers": 0}, "customers"), ("customers", "of")],
)
def test_a_size_that_cannot_be_meant_is_refused(value: Any, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        batch_sizes(value)


APART = Limits(per_minute=100, in_flight=10, per_day=1_000, gap_s=0.15)


def test_between_two_calls_lies_at_least_the_gap() -> None:
    began: list[datetime] = []
    now = NOW
    while len(began) < 20:
        verdict = admit(JournalView(now, second_from=began[-8:]), APART, 3)
        began += [now] * verdict.granted
        assert verdict.not_before is not None
        assert verdict.not_before > now
        now = verdict.not_before
    apart = [later - before for before, later in itertools.pairwise(began)]
    assert set(apart) == {timedelta(seconds=0.15)}


def test_without_a_gap_calls_start_together() -> None:
    assert admit(JournalView(NOW), replace(APART, gap_s=0.0), 3).granted == 3
    assert admit(JournalView(NOW), APART, 3).granted == 1


def test_a_gap_that_cannot_be_held_is_named() -> None:
    assert "gap_s" in replace(APART, gap_s=2.0).faults()[0]


def test_a_kind_without_a_pause_of_its_own_has_that_of_all() -> None:
    pace = Pace(sizes={"invoices": 7}, pauses_s={"invoices": 0.0, "payments": 2.0}, pause_s=3.0)
    assert pace.batch_of("invoices") == (7, 0.0)
    assert pace.batch_of("payments")[1] == 2.0
    assert pace.batch_of("plans") == (5, 3.0)
    assert "other kinds" in replace(pace, pause_s=61.0).faults()[0]
