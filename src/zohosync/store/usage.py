"""What the calls were used for, and which ones were not needed: the ledger of an organisation."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from zohosync.core.forecast import WINDOW_DAYS, Standing, arrivals_of, remaining_s
from zohosync.core.governor import Limits, limits_of
from zohosync.core.records import LANES
from zohosync.errors import LimitsUnreadableError
from zohosync.store.database import Database, Row

WARN_STEPS = (80, 95, 100)
"""Percent of the day's limit at which somebody is told, once each a day."""


NEWEST = 10_000
"""Calls, and attempts, that the time left is foreseen by: two days of Zoho's premium plan."""


@dataclass(frozen=True, slots=True)
class Warned:
    """A step of the day's limit that is reached, told to whoever asks first."""

    day: date
    percent: int
    calls: int
    foreign: int
    per_day: int

    @property
    def words(self) -> str:
        """For people."""
        others = f", {self.foreign:,} of them by others" if self.foreign else ""
        used = self.calls + self.foreign
        return (
            f"{self.percent} % of the day's limit is reached: {used:,} of {self.per_day:,} calls"
            f"{others} ({self.day})"
        )


@dataclass(frozen=True, slots=True)
class Used:
    """A look at the books since `since`: `calls` and `savings` as their queries return them.

    `days` are the days kept, the newest first; `organization` is its row.
    """

    organization: Row
    since: datetime
    calls: list[Row] = field(default_factory=list)
    savings: list[Row] = field(default_factory=list)
    days: list[Row] = field(default_factory=list)


class Usage:
    """The use that one organisation made of its calls."""

    def __init__(self, database: Database, org_id: str) -> None:
        """Nothing is read yet."""
        self._database = database
        self._org_id = org_id

    async def note(self) -> Warned | None:
        """Keep the day's totals; the step of WARN_STEPS that nobody was told of yet, if any.

        Of all processes that ask, one is told. To be called every few seconds while calls are made.
        """
        _, rows = await self._database.batch(
            ("note_usage", {"org_id": self._org_id}),
            ("warn_usage", {"org_id": self._org_id, "steps": list(WARN_STEPS)}),
        )
        if not rows:
            return None
        row = rows[0]
        return Warned(row["day"], row["warned"], row["calls"], row["foreign_calls"], row["per_day"])

    async def used(self, days: int) -> Used | None:
        """The last so many days of the organisation's own, today included; None: not known."""
        organization = await self._database.fetch_one("read_organization", org_id=self._org_id)
        if organization is None:
            return None
        since = days_ago(organization, days - 1)
        who: dict[str, Any] = {"org_id": self._org_id, "since": since}
        first = {"org_id": self._org_id, "day": local_day(organization, since)}
        calls, savings, kept = await self._database.batch(
            ("read_usage", who), ("read_savings", who), ("read_usage_days", first)
        )
        return Used(organization, since, calls, savings, kept)

    async def standing(self, *, per_day: float | None = None) -> Standing | None:
        """How the day stands, with what came a day in the last week (live: `per_day` if given)."""
        found = await self._paced(per_day)
        return None if found is None else found[1]

    async def remaining_s(self, left: int) -> float | None:
        """Seconds until so many records are done, at today's calls a record; None: it never ends.

        Nobody need be at work.
        """
        found = await self._paced(None)
        if found is None:
            return None
        organization, standing, pace = found
        return remaining_s(
            left,
            limits_in_force(organization),
            standing,
            done=pace["records"],
            calls=pace["calls"],
            open_s=0.0,
        )

    async def _paced(self, per_day: float | None) -> tuple[Row, Standing, Row] | None:
        """The organisation, how it stands, and today's `records` and `calls`."""
        organization = await self._database.fetch_one("read_organization", org_id=self._org_id)
        if organization is None:
            return None
        newest = {"org_id": self._org_id, "newest": NEWEST}
        since = days_ago(organization, WINDOW_DAYS - 1)
        arrivals, days, pace = await self._database.batch(
            ("read_arrivals", {**newest, "since": since}),
            ("read_usage_days", {"org_id": self._org_id, "day": local_day(organization, since)}),
            ("read_pace", {**newest, "since": days_ago(organization, 0)}),
        )
        before = [row["foreign_calls"] for row in days[1:] or days]
        standing = standing_of(
            organization,
            arrivals=arrivals_of(arrivals, organization["now"], per_day=per_day),
            foreign=sum(before) / len(before) if before else 0.0,
        )
        return organization, standing, pace[0]


def limits_in_force(organization: Mapping[str, Any]) -> Limits:
    """The limits that every process holds at this moment, whatever it was started with.

    Raises LimitsUnreadableError when somebody broke them by hand.
    """
    lifted = {"per_minute": None, "in_flight": None, "per_day": None}
    try:
        return limits_of({**lifted, **organization["limits"]})
    except ValueError as error:
        org_id = str(organization["org_id"])
        raise LimitsUnreadableError(org_id, "the database", str(error)) from None


def standing_of(
    organization: Mapping[str, Any], *, arrivals: Mapping[int, float], foreign: float
) -> Standing:
    """The organisation's row as a forecast takes it."""
    today = organization["day"] == local_day(organization, organization["now"])
    lanes = (organization["day_by_lane"] or {}) if today else {}
    return Standing(
        now=organization["now"],
        zone=ZoneInfo(organization["time_zone"]),
        used={int(lane): int(calls) for lane, calls in lanes.items()},
        foreign_today=organization["day_foreign"] if today else 0,
        arrivals=arrivals,
        foreign=foreign,
        closed_s=max(0.0, organization["closed_for_s"] or 0.0),
    )


def local_day(organization: Mapping[str, Any], at: datetime) -> date:
    """The organisation's day of an instant."""
    return at.astimezone(ZoneInfo(organization["time_zone"])).date()


def days_ago(organization: Mapping[str, Any], days: int) -> datetime:
    """The beginning of the organisation's day so many days before today."""
    zone = ZoneInfo(organization["time_zone"])
    midnight = datetime.combine(local_day(organization, organization["now"]), datetime.min.time())
    return (midnight - timedelta(days=days)).replace(tzinfo=zone)


def values_of(found: Used, days: int) -> dict[str, Any]:
    """The calls by day, lane, kind and operation, and those that were not needed, for programs."""
    today = _today(found)
    saved = [
        {**row, "saved": row["unchanged"] + row["merged"] + row["reads"]} for row in found.savings
    ]
    return {
        "days": days, "since": found.since, "today": today, "by_day": _by_day(found, today),
        "by_lane": _sums(found.calls, "lane"), "by_kind": _sums(found.calls, "kind"),
        "by_operation": _sums(found.calls, "operation"),
        "calls": [{**row, "lane": _lane(row["lane"])} for row in found.calls],
        "spent": sum(row["calls"] for row in found.calls),
        "saved": sum(row["saved"] for row in saved), "saved_by_kind": saved,
        "warnings": _warnings(found),
    }  # fmt: skip


def _today(found: Used) -> dict[str, Any]:
    """What of today's limit is spent, by whom, and what is left; all by the organisation's row."""
    organization = found.organization
    standing = standing_of(organization, arrivals={}, foreign=0.0)
    spent, foreign = sum(standing.used.values()), standing.foreign_today
    limit = limits_in_force(organization).per_day
    left = None if limit is None else max(0, limit - spent - foreign)
    return {
        "day": local_day(organization, organization["now"]), "spent": spent, "foreign": foreign,
        "limit": limit, "left": left,
        "percent": None if not limit else round(100 * (spent + foreign) / limit, 1),
        "zoho_says_left": organization["quota_left"],
    }  # fmt: skip


def _lane(lane: int) -> str:
    return LANES.get(lane, str(lane))


def _sums(calls: Iterable[Mapping[str, Any]], name: str) -> dict[str, int]:
    """Calls by one of their columns, the most first."""
    sums: Counter[str] = Counter()
    for row in calls:
        value = _lane(row[name]) if name == "lane" else row[name] or "-"
        sums[value] += row["calls"]
    return dict(sums.most_common())


def _by_day(found: Used, today: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row for each day: calls by lane, of others, refused by Zoho; the newest first."""
    kept = {row["day"]: row for row in found.days}
    rows: dict[date, dict[str, Any]] = {}
    for day in sorted({row["day"] for row in found.calls} | kept.keys(), reverse=True):
        calls = [row for row in found.calls if row["day"] == day]
        note = kept.get(day, {})
        foreign = max(note.get("foreign_calls", 0), today["foreign"] if day == today["day"] else 0)
        rows[day] = {
            "day": day, **dict.fromkeys(("live", "normal", "bulk", "upkeep"), 0),
            **_sums(calls, "lane"), "calls": sum(row["calls"] for row in calls),
            "refused": sum(row["refused"] for row in calls),
            "foreign": foreign, "limit": note.get("per_day"), "warned": note.get("warned", 0),
        }  # fmt: skip
    return list(rows.values())


def _warnings(found: Used) -> list[dict[str, Any]]:
    return [
        {"day": row["day"], "percent": row["warned"], "at": row["warned_at"]}
        for row in found.days
        if row["warned"]
    ]
