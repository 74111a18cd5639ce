"""The production check judges item by item: where one thing is spoiled, exactly that item fails."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from zohosync.core.adaptive import Pace
from zohosync.core.governor import PLANS
from zohosync.core.production import NAMES, Found, Mind, counts, judge
from zohosync.core.sections import Caches
from zohosync.testing.world import WORK

MIND = Mind(
    plan="standard", mode="live", limits=PLANS["standard"], work=WORK, caches=Caches(),
    org_id="10001", time_zone="Africa/Johannesburg", zone_said=True, credentials=True, channels=2,
    kinds=("customers", "invoices"), write_back=("customers",),
)  # fmt: skip
FOUND = Found(
    limits=PLANS["standard"], mode="live", time_zone="Africa/Johannesburg",
    yesterday=date(2026, 3, 1), metrics=30, mint="found",
    mint_good=True, workers=2, seen_s=4.0,
    days=[(100, 1_000), (790, 1_000), (5, None)], size_bytes=4_000_000, free_bytes=9_000_000_000,
)  # fmt: skip
SPOILT: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("mapping", {}, {"faults": ["customers.email: …", "b"]}),
    ("queue", {}, {"unwatched": ["public.people"]}),
    ("limits", {"limits": replace(PLANS["standard"], per_day=None)}, {"limits": None}),
    ("limits", {}, {"limits": PLANS["premium"]}),
    ("batch sizes", {"limits": replace(PLANS["standard"], pace=Pace(start=8))}, {"limits": None}),
    (
        "batch sizes",
        {"limits": replace(PLANS["standard"], pace=Pace(sizes={"customers": 9}))},
        {"limits": None},
    ),
    ("retries", {"work": replace(WORK, max_retries=1)}, {}),
    ("retries", {"work": replace(WORK, retry_base_s=0.5)}, {}),
    ("debounce", {"work": replace(WORK, debounce_s=0)}, {}),
    ("caches", {"caches": Caches(org_data_ttl_s=1)}, {}),
    ("indexes", {}, {"indexes": ["records_due"]}),
    ("indexes", {}, {"unused": ["claim_records"]}),
    ("metrics", {}, {"metrics": 0}),
    ("alerts", {"channels": 0}, {}),
    ("alerts", {"unreadable": 1}, {}),
    ("alerts", {}, {"undelivered": ["json://x: it cannot be reached"]}),
    ("credentials", {"credentials": False}, {}),
    ("credentials", {}, {"paused": "Zoho refuses our credentials"}),
    ("credentials", {}, {"refused": 3}),
    ("credentials", {}, {"mint": "unauthorized", "mint_good": False}),
    ("credentials", {}, {"mint": None, "mint_good": False}),
    ("organization", {"org_id": None}, {}),
    ("organization", {"mode": "sandbox"}, {"mode": "sandbox"}),
    ("organization", {}, {"mode": "test"}),
    ("kinds", {}, {"paused_kinds": ["invoices"]}),
    ("kinds", {"kinds": ()}, {}),
    ("time zone", {"zone_said": False}, {}),
    ("time zone", {}, {"time_zone": "UTC"}),
    ("clock", {}, {"clock_off_s": 6.0}),
    ("clock", {}, {"clock_off_s": -6.0}),
    ("workers", {}, {"workers": 0}),
    ("usage", {}, {"days": [(800, 1_000)]}),
    ("write-back", {}, {"write_back": "There is no table"}),
    ("disk", {}, {"free_bytes": 900_000_000}),
    ("disk", {}, {"size_bytes": 10_000_000_000}),
]


def test_an_installation_where_all_is_well_passes_every_item() -> None:
    items = judge(MIND, FOUND)
    assert [item.name for item in items] == list(NAMES)
    assert [item for item in items if not item.ok] == []
    assert all(item.evidence for item in items)
    assert counts(items) == {"passed": len(NAMES), "failed": 0}


@pytest.mark.parametrize(("name", "mind", "found"), SPOILT)
def test_what_is_spoiled_fails_and_nothing_else(
    name: str, mind: dict[str, Any], found: dict[str, Any]
) -> None:
    failed = [item for item in judge(replace(MIND, **mind), replace(FOUND, **found)) if not item.ok]
    assert [item.name for item in failed] == [name]
    assert failed[0].evidence
    assert failed[0].next_step


def test_an_installation_of_today_has_no_figures_of_yesterday_and_needs_none() -> None:
    young = replace(FOUND, metrics=0, yesterday=date(2026, 3, 1), first_day=date(2026, 3, 2))
    assert [item for item in judge(MIND, young) if not item.ok] == []
    older = replace(young, first_day=date(2026, 3, 1))
    assert [item.name for item in judge(MIND, older) if not item.ok] == ["metrics"]


def test_every_item_can_fail() -> None:
    assert {name for name, _, _ in SPOILT} | {"schema"} == set(NAMES)


def test_without_a_schema_only_what_needs_none_is_judged() -> None:
    items = judge(MIND, Found(schema="The schema is out of date"))
    assert [item.name for item in items if not item.ok] == ["schema"]
    assert "credentials" not in {item.name for item in items}
