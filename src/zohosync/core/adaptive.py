"""How many calls may be in flight, learnt from how the last ones ended; and the guide's batches."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

MANY = 1_000_000
"""No limit to a size."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How sizes move (the guide's adaptive processor), and what batches of a kind are allowed.

    The size begins at `start` and stays between `least` and `most`. Of as many calls as the size,
    the share that ended in overload is averaged in (`old` of what was, the rest of what is new; the
    first one is taken as it is). Over `shrink_over` the size loses one, under `grow_under` it gains
    one. `sizes` and `pauses_s` are the batches of a kind in backfills: after so many calls, so long
    a pause; no pause, no batches. A kind with no pause of its own has `pause_s`, and batches of
    `start`.
    """

    start: int = 5
    least: int = 1
    most: int = 10
    old: float = 0.7
    shrink_over: float = 0.3
    grow_under: float = 0.1
    sizes: Mapping[str, int] = field(default_factory=dict)
    pauses_s: Mapping[str, float] = field(default_factory=dict)
    pause_s: float = 0.0

    def batch_of(self, kind: str) -> tuple[int, float]:
        """The size of a kind's batches, and the pause after each; no pause where there are none."""
        if kind in self.pauses_s:
            return self.sizes.get(kind, MANY), self.pauses_s[kind]
        return self.sizes.get(kind, self.start), self.pause_s

    def faults(self) -> list[str]:
        """What is wrong with the numbers, in words."""
        faults = []
        if not 1 <= self.least <= self.start <= self.most:
            faults.append(
                f"pace: least {self.least}, start {self.start} and most {self.most} must be 1 or "
                "more and rise in this order"
            )
        if not 0 <= self.old < 1:
            faults.append(f"pace.old is {self.old}: it must be 0 or more and below 1")
        if not 0 <= self.grow_under <= self.shrink_over <= 1:
            faults.append("pace.grow_under must not be over pace.shrink_over, both within 0 and 1")
        faults += [
            f"pace.sizes.{kind} is {size}: it must be 1 or more"
            for kind, size in self.sizes.items()
            if size < 1
        ]
        faults += [
            f"pace.pauses_s.{kind} is {pause_s}: it must be between 0 and 60"
            for kind, pause_s in {**self.pauses_s, "other kinds": self.pause_s}.items()
            if not 0 <= pause_s <= 60  # the journal is read for a minute back
        ]
        return faults


def size_after(overloads: Iterable[bool], pace: Pace) -> int:
    """The size after calls that ended so, oldest first: True is an overload.

    Only signals of overload count: a record that is merely wrong is a call that went well.
    """
    ended, at, size, rate = list(overloads), 0, pace.start, None
    while at + size <= len(ended):
        ratio = sum(ended[at : at + size]) / size
        at += size
        mean = ratio if rate is None else pace.old * rate + (1 - pace.old) * ratio
        rate = round(mean, 9)  # 0.3 of something is 0.3 of it
        if rate > pace.shrink_over:
            size = max(pace.least, size - 1)
        elif rate < pace.grow_under:
            size = min(pace.most, size + 1)
    return size


def batch_over(
    starts: Sequence[datetime], now: datetime, size: int, pause_s: float
) -> datetime | None:
    """When the next call of a kind may start after calls that started then, oldest first.

    None is now: the batch has room, or its pause is over.
    """
    pause = timedelta(seconds=pause_s)
    count, last = 0, None
    for start in starts:
        if last is None or count >= size or start - last >= pause:
            count = 0
        count, last = count + 1, start
    if last is None or count < size or now - last >= pause:
        return None
    return last + pause
