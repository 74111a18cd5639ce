"""What health is judged by: how many records of each kind stand where, and the signs of life."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from zohosync.core.governor import DOWN_AFTER
from zohosync.core.records import Status

ON_THEIR_WAY = (Status.PENDING, Status.SYNCING, Status.RETRYING)


@dataclass(frozen=True, slots=True)
class KindFigures:
    """How many records of a kind stand where; `pending` are those on their way.

    `eligible` are all but the skipped; `overdue_s` is how long the oldest has been due, None when
    none is.
    """

    kind: str
    total: int = 0
    synced: int = 0
    pending: int = 0
    waiting: int = 0
    failed: int = 0
    uncertain: int = 0
    skipped: int = 0
    linked: int = 0
    overdue_s: float | None = None

    @property
    def eligible(self) -> int:
        """All that belong in Zoho."""
        return self.total - self.skipped

    @property
    def sync_rate(self) -> float | None:
        """Percent of the eligible that are in step, None when there are none."""
        return round(100 * self.synced / self.eligible, 2) if self.eligible else None


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """A worker, and how many seconds ago it was seen."""

    worker: str
    version: str
    seen_s: float
    alive: bool


@dataclass(frozen=True, slots=True)
class Organization:
    """The organisation's row, as far as health needs it."""

    org_id: str
    mode: str
    active: bool = True
    paused: str | None = None
    paused_kinds: tuple[str, ...] = ()
    braked: tuple[str, ...] = ()
    closed_for_s: float = 0.0
    closed_reason: str | None = None
    overloads: int = 0
    calls_today: int = 0

    @property
    def open(self) -> bool:
        """Whether calls may leave at all."""
        return not self.paused and self.closed_for_s <= 0 and self.overloads < DOWN_AFTER


@dataclass(frozen=True, slots=True)
class Signs:
    """Signs of life and of trouble, as the store reads them (queries/read_signs.sql).

    `answers` are the outcomes of the newest calls, the newest first; `overdue_s` is by lane, from
    live down, of what may be claimed (0: nothing is due).
    """

    succeeded: int = 0
    failed: int = 0
    retried: int = 0
    ended: int = 0
    ended_s: float | None = None
    answers: tuple[str, ...] = ()
    answered_s: float | None = None
    minted: str | None = None
    token_good_for_s: float | None = None
    leases_expired: int = 0
    orphans: int = 0
    orphan: str | None = None
    evidence_lost: int = 0
    duplicates: int = 0
    duplicate: str | None = None
    overdue_s: tuple[float, ...] = ()
    marks: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """All that health is judged by.

    `untimed` is how many records of each status have no due time; `doubles` are those that the
    newest comparison of each kind saw in Zoho; `lacking` names what the credentials lack.
    """

    version: str
    organization: Organization
    workers: tuple[WorkerSeen, ...] = ()
    kinds: tuple[KindFigures, ...] = ()
    untimed: Mapping[str, int] = field(default_factory=dict)
    signs: Signs = field(default_factory=Signs)
    doubles: Mapping[str, int] = field(default_factory=dict)
    lacking: str | None = None
    mapped: tuple[str, ...] = ()
    failed_allowed: int = 5


def figures_of(
    counts: Sequence[Mapping[str, Any]],
    oldest: Mapping[str, float],
    kinds: Sequence[str],
) -> tuple[KindFigures, ...]:
    """Rows of count_records (`kind`, `status`, `records`, `linked`) as figures, in this order.

    `oldest` is for how many seconds the oldest of a kind has been due. Kinds of which there is no
    record are there with zeros; others than `kinds` come last.
    """
    names = (*kinds, *sorted({row["kind"] for row in counts} - set(kinds)))
    return tuple(_figures(name, counts, oldest.get(name)) for name in names)


def _figures(
    kind: str, counts: Sequence[Mapping[str, Any]], overdue_s: float | None
) -> KindFigures:
    rows = {row["status"]: row for row in counts if row["kind"] == kind}

    def of(*statuses: str) -> int:
        return sum(int(rows[name]["records"]) for name in statuses if name in rows)

    return KindFigures(
        kind,
        total=of(*rows),
        synced=of(Status.SYNCED),
        pending=of(*ON_THEIR_WAY),
        waiting=of(Status.WAITING),
        failed=of(Status.FAILED),
        uncertain=of(Status.UNCERTAIN),
        skipped=of(Status.SKIPPED),
        linked=sum(int(row["linked"]) for row in rows.values()),
        overdue_s=overdue_s if overdue_s is not None and overdue_s > 0 else None,
    )
