"""A remote that cries when a limit could be crossed, whatever the latency of the calls."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from zohosync.core.governor import Limits

MINUTE, SECOND, TEN_MINUTES = timedelta(minutes=1), timedelta(seconds=1), timedelta(minutes=10)
MINT_LATEST = timedelta(seconds=22)
"""A token request is seen by then."""
CLOCKS = (timedelta(seconds=-25), timedelta(0), timedelta(seconds=25))
"""How far the remote's midnight may be from that of the database."""


@dataclass(slots=True)
class Sent:
    """A call that may be seen at any time from `began` to `ended`, or, with no end, to `latest`."""

    call_id: int
    began: datetime
    latest: datetime
    mint: bool = False
    ended: datetime | None = None

    @property
    def last(self) -> datetime:
        return min(self.ended or self.latest, self.latest)


@dataclass(slots=True)
class RemoteModel:
    """All calls that were let go, and until when we were told to stay away."""

    limits: Limits
    zone: ZoneInfo
    calls: list[Sent] = field(default_factory=list)
    closed_until: datetime | None = None

    def end(self, call: Sent, now: datetime, *, left: bool) -> None:
        """It was answered; a call of which not one byte left was never seen at all."""
        call.ended = now
        if not left:
            self.calls.remove(call)

    def day_of(self, at: datetime) -> object:
        return at.astimezone(self.zone).date()

    def cries(self, now: datetime) -> Iterator[str]:
        """What calls that begin now may cross, at the worst of all latencies and clocks."""
        limits = self.limits
        calls = [call for call in self.calls if not call.mint]
        if limits.in_flight and sum(call.last > now for call in calls) > limits.in_flight:
            yield "in flight"
        if limits.per_minute and sum(call.last > now - MINUTE for call in calls) > (
            limits.per_minute
        ):
            yield "minute"
        if limits.per_second and sum(call.began > now - SECOND for call in calls) > (
            limits.per_second
        ):
            yield "second"
        for skew in CLOCKS:
            for day in {self.day_of(now + skew), self.day_of(calls[-1].latest + skew)}:
                seen = sum(
                    self.day_of(call.began + skew) == day or self.day_of(call.last + skew) == day
                    for call in calls
                )
                if limits.per_day and seen > limits.per_day:
                    yield f"day {day}"

    def cries_of_mints(self, now: datetime) -> Iterator[str]:
        mints = sum(call.last > now - TEN_MINUTES for call in self.calls if call.mint)
        if mints > self.limits.mints:
            yield "mints"
