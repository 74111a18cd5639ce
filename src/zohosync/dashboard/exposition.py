"""What Prometheus reads at /metrics: how the organisation stands, and what this process did.

Labels are bounded: kind, status, lane, outcome, figure. No key, id, name or message is ever one.
"""

from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from zohosync.core.kpis import KPIS
from zohosync.core.records import LANES
from zohosync.core.sections import Targets
from zohosync.errors import LimitsUnreadableError
from zohosync.events import AttemptEnded, Event, OrganizationTouched
from zohosync.store.metrics import Metrics, Snapshot
from zohosync.store.usage import limits_in_force, local_day

NONE = "none"
"""The kind of calls that are of no kind: a list that compare reads, a probe."""

BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Upper bounds of the lengths of attempts; the guide's target of 5 s is one of them."""


class Exposition:
    """What one process shows: to be told every event, and asked for its text."""

    def __init__(self, targets: Targets) -> None:
        """Begins with nothing counted."""
        self._targets = targets
        self._registry = CollectorRegistry()
        self._attempts = Counter(
            "zohosync_attempts", "Attempts of this process that ended.", ["kind", "status"],
            registry=self._registry,
        )  # fmt: skip
        self._lengths = Histogram(
            "zohosync_attempt_seconds", "How long they took, waiting for leave included.",
            ["kind"], buckets=BUCKETS_S, registry=self._registry,
        )  # fmt: skip
        self._closings = Counter(
            "zohosync_closings", "Times that this process found the organisation closed or down.",
            registry=self._registry,
        )  # fmt: skip

    def __call__(self, event: Event) -> None:
        """Count an event."""
        match event:
            case AttemptEnded():
                self._attempts.labels(event.ref.kind, event.status).inc()
                self._lengths.labels(event.ref.kind).observe(event.duration_ms / 1_000)
            case OrganizationTouched():
                self._closings.inc()
            case _:
                pass

    async def text(self, metrics: Metrics) -> str:
        """The page: what this process did, and how the organisation stands. DatabaseError."""
        snapshot = await metrics.snapshot()
        own = generate_latest(self._registry).decode()
        return own + ("" if snapshot is None else text_of(snapshot, self._targets))


def text_of(snapshot: Snapshot, targets: Targets) -> str:
    """How an organisation stands, as Prometheus reads it. Pure.

    Counters of today begin anew at the organisation's midnight, which Prometheus takes for a
    restart. Every process of an organisation shows the same: take `max`, not `sum`, of them.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Standing(snapshot, targets))
    return generate_latest(registry).decode()


class _Standing(Collector):
    """The families of a snapshot."""

    def __init__(self, snapshot: Snapshot, targets: Targets) -> None:
        self._snapshot = snapshot
        self._targets = targets

    def collect(self) -> Iterator[Metric]:
        yield from self._calls()
        yield from self._day()
        yield from self._book()
        yield from self._state()
        yield from self._figures()

    def _calls(self) -> Iterator[Metric]:
        rows = self._snapshot.calls
        calls = CounterMetricFamily(
            "zohosync_api_calls", "Calls to Zoho that ended today, ours.",
            labels=["lane", "kind", "outcome"],
        )  # fmt: skip
        for row in rows:
            lane = LANES.get(row["lane"], NONE)
            calls.add_metric([lane, row["kind"] or NONE, row["outcome"]], row["calls"])
        yield calls
        hits = sum(row["calls"] for row in rows if row["outcome"] == "throttled")
        yield CounterMetricFamily(
            "zohosync_rate_limit_hits", "Calls that Zoho refused today: a limit was hit.", hits
        )
        moment = self._snapshot.moment
        yield _gauge("zohosync_calls_in_flight", "Calls under way.", moment["in_flight"])

    def _day(self) -> Iterator[Metric]:
        organization = self._snapshot.organization
        today = organization["day"] == local_day(organization, organization["now"])
        ours = organization["day_calls"] if today else 0
        others = organization["day_foreign"] if today else 0
        used = GaugeMetricFamily(
            "zohosync_day_calls", "Calls that count on today's limit.", labels=["by"]
        )
        used.add_metric(["us"], ours)
        used.add_metric(["others"], others)
        yield used
        try:
            limit = limits_in_force(organization).per_day
        except LimitsUnreadableError:  # told where they are held; the rest is worth showing
            limit = None
        if limit is not None:
            yield _gauge("zohosync_day_limit_calls", "Calls that a day may have.", limit)
            left = max(0, limit - ours - others)
            yield _gauge("zohosync_day_remaining_calls", "Calls left of today.", left)

    def _book(self) -> Iterator[Metric]:
        records = GaugeMetricFamily(
            "zohosync_records", "Records by how they stand.", labels=["kind", "status"]
        )
        sums: dict[tuple[str, str], int] = {}
        for row in self._snapshot.records:
            name = (row["kind"], row["status"])
            sums[name] = sums.get(name, 0) + row["records"]
        for name, count in sorted(sums.items()):
            records.add_metric(name, count)
        yield records
        moment = self._snapshot.moment
        yield _gauge("zohosync_marks", "Changes not folded yet, up to 10,000.", moment["marks"])
        yield _gauge(
            "zohosync_oldest_due_seconds", "How long the oldest due record waits.",
            moment["oldest_due_s"] or 0,
        )  # fmt: skip
        yield _gauge("zohosync_workers", "Workers that are alive.", moment["workers"])

    def _state(self) -> Iterator[Metric]:
        organization = self._snapshot.organization
        closed_s = max(0.0, organization["closed_for_s"] or 0.0)
        yield _gauge("zohosync_closed_seconds", "How long it stays closed; 0: open.", closed_s)
        yield _gauge(
            "zohosync_paused", "Whether nothing runs at all (1).",
            int(organization["paused"] is not None),
        )  # fmt: skip
        kinds = GaugeMetricFamily(
            "zohosync_kind_paused", "Whether a kind is paused (1).", labels=["kind"]
        )
        for kind in organization["kinds"]:
            kinds.add_metric([kind], int(kind in organization["paused_kinds"]))
        yield kinds
        yield _gauge(
            "zohosync_overloads", "Overload failures in a row; from 5 on it is down.",
            organization["overloads"],
        )  # fmt: skip

    def _figures(self) -> Iterator[Metric]:
        rows = self._snapshot.figures
        figures = GaugeMetricFamily(
            "zohosync_kpi", "Key figures of the newest closed day: %, milliseconds, counts.",
            labels=["figure", "kind"],
        )  # fmt: skip
        for row in rows:
            name = [row["metric_type"], row["entity_type"]]
            figures.add_metric(name, float(row["metric_value"]))
        yield figures
        yield self._aims()
        if rows:
            zone = ZoneInfo(self._snapshot.organization["time_zone"])
            day = datetime.combine(rows[0]["metric_date"], datetime.min.time(), zone)
            yield _gauge(
                "zohosync_kpi_day_timestamp_seconds", "When that day began.", day.timestamp()
            )

    def _aims(self) -> Metric:
        targets = GaugeMetricFamily(
            "zohosync_kpi_target", "What a key figure is held against, in its own time.",
            labels=["figure"],
        )  # fmt: skip
        for kpi in KPIS:
            if kpi.target is not None:
                targets.add_metric([kpi.name], float(getattr(self._targets, kpi.target)))
        return targets


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(name, what, value)
