"""/metrics: what Prometheus reads is true, bounded, and all that the Grafana dashboard asks for."""

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from zohosync.clock import Chance
from zohosync.core.governor import PLANS
from zohosync.core.kinds import KINDS
from zohosync.core.records import LANES, Status
from zohosync.core.sections import Targets
from zohosync.dashboard.exposition import NONE, Exposition
from zohosync.events import OrganizationTouched
from zohosync.sandbox import Fault, Faults, Sandbox, SandboxLimits
from zohosync.store.database import Database
from zohosync.store.metrics import LATE_S, Metrics
from zohosync.testing.virtual import VirtualClock, run
from zohosync.testing.world import WorldSettings, world

BOARD = Path(__file__).resolve().parents[2] / "docs" / "grafana" / "zohosync.json"
MAPPING = {
    "customers": "select n as key, case n when 3 then '' else 'P ' || n end as display_name, "
    "n || '@example.com' as email, case n when 2 then 'inactive' else 'active' end as state "
    "from generate_series(1, 3) n",
}
DAY_S = 86_400.0


async def lived(url: str, tell: OrganizationTouched) -> tuple[str, list[dict[str, Any]]]:
    """The page after a day in which one customer is made, one in two steps, and one fails."""
    clock = VirtualClock()
    faults = Faults([Fault("error_before_commit", "customers.create", times=1)])
    sandbox = Sandbox(clock=clock, chance=Chance(7), limits=SandboxLimits.lifted(), faults=faults)
    database = await Database.open(url, now=clock.now)
    metrics = Metrics(database, sandbox.organization_id)
    shown = Exposition(Targets())
    shown(tell)
    settings = WorldSettings(limits=PLANS["standard"]).working(poll_s=60.0)
    async with world(
        database, MAPPING, sandbox, clock=clock, settings=settings,
        listeners=[shown],
    ) as joined:  # fmt: skip
        await joined.source.mark_all("customers", priority=10)
        await joined.service.run_until_idle(asyncio.Event())
        text = await shown.text(metrics)
        await clock.sleep(DAY_S + LATE_S)
        await metrics.catch_up(90)
        text_later = await shown.text(metrics)
    async with database.transaction() as transaction:
        logs = await transaction.fetch_sql(
            "select key, status, result, calls, duration_ms, sync_ms, sync_calls"
            " from zohosync.sync_logs order by log_id"
        )
    await database.close()
    figures = [line for line in text_later.splitlines() if "zohosync_kpi" in line]
    return "\n".join([*text.splitlines(), *figures, ""]), logs


@pytest.fixture
def page(database_url: str) -> tuple[str, list[dict[str, Any]]]:
    return run(lambda: lived(database_url, OrganizationTouched("on purpose", 1.0)))


def families(text: str) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(text)}


def samples(text: str) -> Iterator[tuple[str, dict[str, str], float]]:
    for family in families(text).values():
        for sample in family.samples:
            yield sample.name, sample.labels, sample.value


def test_what_is_shown_is_true_bounded_and_all_that_the_dashboard_asks_for(
    page: tuple[str, list[dict[str, Any]]],
) -> None:
    text, logs = page
    values = {(name, *sorted(labels.values())): value for name, labels, value in samples(text)}
    assert values["zohosync_attempts_total", "customers", "failed"] == 1
    assert values["zohosync_attempts_total", "customers", "synced"] == 2
    assert values["zohosync_attempt_seconds_count", "customers"] == len(logs)
    calls = sum(value for name, *_, value in _flat(values) if name == "zohosync_api_calls_total")
    assert calls == sum(log["calls"] for log in logs) > 2
    assert values["zohosync_records", "customers", "failed"] == 1
    assert (values["zohosync_closings_total",] >= 1, values["zohosync_workers",]) == (True, 0)
    assert values["zohosync_kpi", "all", "failed_syncs"] == 1
    assert values["zohosync_kpi", "all", "success_rate"] == 66.6667
    assert values["zohosync_kpi_target", "success_rate"] == 98
    _bounded(text)
    _asked(text)


def test_what_a_sync_took_goes_on_from_attempt_to_attempt_until_one_ends_it(
    page: tuple[str, list[dict[str, Any]]],
) -> None:
    for key in "123":
        spent_ms = spent_calls = 0
        attempts = [log for log in page[1] if log["key"] == key]
        for log in attempts:
            spent_ms, spent_calls = spent_ms + log["duration_ms"], spent_calls + log["calls"]
            assert (log["sync_ms"], log["sync_calls"]) == (spent_ms, spent_calls)
        assert attempts[-1]["status"] in ("success", "failed")
    assert len(page[1]) > 3, "one needed two steps, and one was tried again"


def _flat(values: dict[tuple[str, ...], float]) -> Iterator[tuple[Any, ...]]:
    for name, value in values.items():
        yield (*name, value)


def _bounded(text: str) -> None:
    """No label holds what there may be any number of."""
    known = {
        "kind": {*KINDS, NONE, "all"}, "status": {*Status, "marked"}, "by": {"us", "others"},
        "lane": {*LANES.values(), NONE},
    }  # fmt: skip
    for name, labels, _ in samples(text):
        assert set(labels) <= {*known, "outcome", "figure", "le"}, name
        for label, value in labels.items():
            assert value in known.get(label, {value}), (name, label, value)
    types = {family.name: family.type for family in families(text).values()}
    for name, kind in types.items():
        assert name.startswith("zohosync_")
        if kind == "counter":
            assert f"{name}_total" in text


def _asked(text: str) -> None:
    """Every query of the dashboard names metrics and labels that there are."""
    there: dict[str, set[str]] = {}
    for name, labels, _ in samples(text):
        there.setdefault(name, set()).update(labels)
    board = json.loads(BOARD.read_text(encoding="utf-8"))
    queries = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    queries += [each["expr"] for each in board["annotations"]["list"]]
    assert len(queries) > 20
    for query in queries:
        names = re.findall(r"\bzohosync_\w+", query)
        assert names, query
        assert set(names) <= set(there), f"{query}: {set(names) - set(there)} are not there"
        allowed = {label for name in names for label in there[name]}
        matched = set(re.findall(r"[{,]\s*(\w+)\s*(?:=~|!~|!=|=)", query))
        grouped = {
            label.strip() for some in re.findall(r"\bby \(([^)]*)\)", query)
            for label in some.split(",")
        }  # fmt: skip
        assert matched | grouped <= allowed, f"{query}: {matched | grouped} of {allowed}"
        assert query.count("(") == query.count(")")
    shown = {name for query in queries for name in re.findall(r"\bzohosync_\w+", query)}
    lacking = {name.removesuffix("_created") for name in there} - shown
    assert lacking <= {"zohosync_attempts", "zohosync_closings", "zohosync_attempt_seconds",
                       "zohosync_kpi_target"}, "shown nowhere"  # fmt: skip


async def test_an_organisation_that_is_not_known_shows_only_the_process(
    database: Database,
) -> None:
    text = await Exposition(Targets()).text(Metrics(database, "nobody"))
    assert "zohosync_attempts" in text
    assert "zohosync_day_calls" not in text
