"""Key figures of closed days, of what there is of today, and the values of the present moment."""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import simplejson

from zohosync.core.causes import ALIVE_S
from zohosync.core.kpis import STALE_AFTER, day_bounds
from zohosync.core.records import LANES
from zohosync.errors import SettingsError
from zohosync.store.database import Database, Row

LATE_S = 600.0
"""A day is closed so long after its end: what began before midnight has come to its end by then."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How an organisation stands at this moment, as monitoring takes it.

    `calls` ended today, by lane, kind and outcome; `records` are by kind and status; `figures` are
    those of the newest day that has any; `moment` has `marks`, `oldest_due_s` (None: nothing is
    due), `workers` and `in_flight`.
    """

    organization: Row
    moment: Row
    records: list[Row] = field(default_factory=list)
    calls: list[Row] = field(default_factory=list)
    figures: list[Row] = field(default_factory=list)


class Metrics:
    """The key figures of one organisation."""

    def __init__(self, database: Database, org_id: str) -> None:
        """Nothing is read yet."""
        self._database = database
        self._org_id = org_id

    async def missing(self, keep_days: int) -> list[date]:
        """Closed days that have no figures yet though their attempts are still kept."""
        rows = await self._database.fetch(
            "missing_days", org_id=self._org_id, keep_days=keep_days, late_s=LATE_S
        )
        return [row["day"] for row in rows]

    async def catch_up(self, keep_days: int) -> list[date]:
        """Roll up every day that is missing, each on its own; which ones these were."""
        days = await self.missing(keep_days)
        for day in days:
            await self.roll_up(day, keep_days)
        return days

    async def keep_up(self, keep_days: int) -> str | None:
        """As `catch_up`, told in words; None when nothing was missing."""
        days = await self.catch_up(keep_days)
        if not days:
            return None
        span = f"{days[0]}" if len(days) == 1 else f"{len(days)} days, {days[0]} to {days[-1]}"
        return f"key figures rolled up: {span}"

    async def roll_up(self, day: date, keep_days: int) -> list[Row]:
        """Write the figures of a closed day, in place of those that there are; returns them.

        Raises SettingsError when it is not over, or when its attempts are not all kept any more.
        """
        organization = await self._known()
        began, ended = day_bounds(day, ZoneInfo(organization["time_zone"]))
        now = organization["now"]
        if now < ended + timedelta(seconds=LATE_S):
            raise SettingsError(
                f"{day} is not over yet"
                if day <= _today(organization)
                else f"{day} is in the future",
                next_step="key figures are of closed days",
            )
        if began < now - timedelta(days=keep_days):
            raise SettingsError(
                f"The attempts of {day} are not kept any more",
                place="[database] keep_days",
                next_step=f"the figures that were written then stay; {keep_days} days are kept",
            )
        late = now - ended > timedelta(days=1)
        rows = await self._measure(began, ended, at_least=late)
        await self._database.execute(
            "keep_day", org_id=self._org_id, day=day,
            rows=simplejson.dumps(rows, use_decimal=True),
        )  # fmt: skip
        return rows

    async def so_far(self) -> list[Row]:
        """The figures of today, which is not over: shown, never written."""
        organization = await self._known()
        day = _today(organization)
        began, _ = day_bounds(day, ZoneInfo(organization["time_zone"]))
        ended = organization["now"] + timedelta(microseconds=1)
        rows = await self._measure(began, ended, at_least=False)
        return [{"metric_date": day, **row} for row in rows]

    async def between(self, first: date, last: date) -> list[Row]:
        """The figures that are kept of these days, both included."""
        return await self._database.fetch(
            "read_metrics", org_id=self._org_id, first=first, last=last
        )

    async def snapshot(self) -> Snapshot | None:
        """How it stands now; None when the organisation is not known."""
        organization = await self._database.fetch_one("read_organization", org_id=self._org_id)
        if organization is None:
            return None
        began, _ = day_bounds(_today(organization), ZoneInfo(organization["time_zone"]))
        who = {"org_id": self._org_id}
        (moment, *_), calls, figures, records = await self._database.batch(
            ("view_moment", {**who, "priorities": list(LANES), "alive_s": ALIVE_S}),
            ("count_calls", {**who, "since": began}),
            ("read_newest_metrics", who),
            ("count_records", who),
        )
        return Snapshot(organization, moment, records, calls, figures)

    async def _measure(self, began: datetime, ended: datetime, *, at_least: bool) -> list[Row]:
        async with self._database.transaction(read_only=True) as transaction:
            await transaction.fetch("allow_memory")
            return await transaction.fetch(
                "measure_day", org_id=self._org_id, began=began, ended=ended, at_least=at_least,
                stale_after=STALE_AFTER,
            )  # fmt: skip

    async def _known(self) -> Row:
        row = await self._database.fetch_one("read_organization", org_id=self._org_id)
        if row is None:
            raise SettingsError(
                f"Organisation {self._org_id} is not known in this database",
                place=self._database.place,
                next_step="run `zohosync migrate` in the project folder",
            )
        return row


def _today(organization: Row) -> date:
    now: datetime = organization["now"]
    return now.astimezone(ZoneInfo(organization["time_zone"])).date()
