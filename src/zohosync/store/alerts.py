"""Alerts in the database: the facts, what is remembered of each cause, and the notices to send."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from zohosync.core.alerts import Alert, Decision, Notice
from zohosync.core.causes import ALIVE_S, CLOSED_FOR_S, Facts
from zohosync.core.governor import DOWN_AFTER
from zohosync.core.records import LANES, Ref
from zohosync.store.connection import exact_json
from zohosync.store.database import Database, Row

SEND_LEASE_S = 120.0
"""How long a notice is nobody else's while it is sent."""

GIVE_UP_S = 7 * 86_400.0
"""How long a notice that a channel does not take is tried."""

KEEP_DAYS = 30
"""How long ended alerts and sent notices are kept."""

LATELY_S = 86_400.0
"""What ended longer ago is not listed; `decide` need not remember it."""


@dataclass(frozen=True, slots=True)
class Books:
    """A look at everything: the facts, what is remembered, what is muted until when."""

    facts: Facts
    alerts: tuple[Alert, ...]
    mutes: Mapping[str, datetime]


@dataclass(frozen=True, slots=True)
class Glance:
    """A cheap look: `signs` change when a grave cause may have come or gone."""

    signs: tuple[Any, ...]
    notices: bool


@dataclass(frozen=True, slots=True)
class Sending:
    """A notice that is ours to send now, for the `tries`-th time, to the channels `pending`."""

    notice_id: int
    title: str
    body: str
    grave: bool
    good: bool
    pending: tuple[str, ...]
    tries: int


class AlertBook:
    """The alerts of one organisation."""

    def __init__(self, database: Database, org_id: str, *, alive_s: float = ALIVE_S) -> None:
        """A worker that was not seen for `alive_s` is silent."""
        self._database = database
        self._org_id = org_id
        self._who = {"org_id": org_id}
        self._alive_s = alive_s

    async def glance(self, channels: Iterable[str]) -> Glance | None:
        """What a process that sends to `channels` looks at every few seconds; None: not known."""
        row = await self._database.fetch_one(
            "glance_alerts", org_id=self._org_id, down_after=DOWN_AFTER, alive_s=self._alive_s,
            closed_for_s=CLOSED_FOR_S, channels=list(channels),
        )  # fmt: skip
        if row is None:
            return None
        return Glance(
            tuple(value for name, value in row.items() if name != "notices"), row["notices"]
        )

    async def look(
        self, judge: Callable[[Books], Decision], channels: Iterable[str]
    ) -> tuple[Decision, datetime] | None:
        """Judge all causes and write down what follows, notices included, in one transaction.

        Returns the decision, and when it was made. None: another process does so in this moment,
        or the organisation is not known.
        """
        async with self._database.transaction() as transaction:
            locked, *read = await transaction.batch(("lock_alerts", self._who), *self._reads())
            books = self._books(read) if locked[0]["ours"] else None
            if books is None:
                return None
            decision = judge(books)
            if decision.alerts:
                await transaction.execute(
                    "save_alerts", org_id=self._org_id, rows=_rows(decision.alerts)
                )
            if decision.notices and (names := list(channels)):
                await transaction.execute(
                    "add_notices", org_id=self._org_id, channels=names,
                    rows=_notice_rows(decision.notices),
                )  # fmt: skip
            return decision, books.facts.now

    async def books(self) -> Books | None:
        """Everything as it is, without judging it; None: the organisation is not known."""
        return self._books(await self._database.batch(*self._reads()))

    def _reads(self) -> list[tuple[str, dict[str, Any]]]:
        """What is read of everything, in one round trip."""
        others = ("read_causes", "read_workers", "read_comparisons", "read_mutes", "read_jobs")
        return [
            ("read_vitals", {**self._who, "priorities": list(LANES)}),
            *((name, self._who) for name in others),
            ("read_alerts", {**self._who, "lately_s": LATELY_S}),
        ]

    def _books(self, read: Sequence[list[Row]]) -> Books | None:
        vitals, groups, workers, comparisons, mutes, jobs, rows = read
        if not vitals:
            return None
        now = vitals[0]["now"]
        known = [row for row in jobs if row["job"]]
        reports = {row["fingerprint"]: row["reported"] for row in rows if row["reported"]}
        return Books(
            Facts(now, vitals[0], groups, workers, comparisons, reports, known, self._alive_s),
            tuple(_alert(row) for row in rows),
            {row["target"]: row["until"] for row in mutes},
        )

    async def report(self, fingerprint: str, words: str | None) -> bool:
        """Say that something of ours fails, or (None) does not any more; whether that is news."""
        row = await self._database.fetch_one(
            "report_trouble", org_id=self._org_id, fingerprint=fingerprint, reported=words
        )
        return row is not None

    async def take(self, channels: Iterable[str], worker: str) -> Sending | None:
        """The next notice to send, which is nobody else's for SEND_LEASE_S."""
        row = await self._database.fetch_one(
            "take_notice", org_id=self._org_id, channels=list(channels), worker=worker,
            lease_s=SEND_LEASE_S,
        )  # fmt: skip
        if row is None:
            return None
        pending = tuple(row["pending"])
        return Sending(
            row["notice_id"], row["title"], row["body"], row["grave"], row["good"], pending,
            row["tries"],
        )  # fmt: skip

    async def settle(
        self, sending: Sending, worker: str, taken: Sequence[str], error: str | None, retry_s: float
    ) -> None:
        """Write down which channels took it, and why the others did not; `error` has no secret."""
        await self._database.execute(
            "settle_notice", notice_id=sending.notice_id, worker=worker, tries=sending.tries,
            taken=list(taken), error=error, retry_s=retry_s, keep_s=GIVE_UP_S,
        )  # fmt: skip

    async def unsent(self, limit: int = 50) -> list[Row]:
        """Notices that some channel has not taken yet."""
        return await self._database.fetch("read_notices", org_id=self._org_id, limit=limit)

    async def mute(self, target: str, for_s: float | None) -> datetime | None:
        """Let nobody hear of a fingerprint, kind or topic for so long; None: everybody, again.

        Returns until when; None where there was nothing to do.
        """
        row = await self._database.fetch_one(
            "mute_alerts", org_id=self._org_id, target=target, for_s=for_s
        )
        return None if row is None else row["until"]

    async def prune(self) -> None:
        """Forget what ended long ago."""
        await self._database.execute("prune_notices", org_id=self._org_id, keep_days=KEEP_DAYS)


def _alert(row: Row) -> Alert:
    example = Ref(row["example_kind"], row["example_key"]) if row["example_kind"] else None
    names = (
        "fingerprint", "first_seen", "last_seen", "kind", "grave", "title", "body", "command",
        "over", "records", "level", "since", "gone_since", "resolved_at", "told_at",
        "told_records", "told_level", "told_grave", "held", "episodes",
    )  # fmt: skip
    return Alert(**{name: row[name] for name in names}, example=example)


def _rows(alerts: Iterable[Alert]) -> str:
    rows = []
    for alert in alerts:
        values = {name: getattr(alert, name) for name in Alert.__slots__ if name != "example"}
        rows.append(
            {name: v.isoformat() if isinstance(v, datetime) else v for name, v in values.items()}
            | {
                "topic": alert.topic,
                "example_kind": alert.example.kind if alert.example else None,
                "example_key": alert.example.key if alert.example else None,
            }
        )
    return exact_json(rows)


def _notice_rows(notices: Iterable[Notice]) -> str:
    return exact_json(
        [
            {
                "place": place, "grave": notice.grave, "good": notice.good, "title": notice.title,
                "body": notice.body, "fingerprints": list(notice.fingerprints),
            }
            for place, notice in enumerate(notices)
        ]
    )  # fmt: skip
