"""What work will cost: calls of a step, and the minutes and days that calls take under limits."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil

from zohosync.core.governor import MINUTE_S, Limits
from zohosync.core.kind import Kind
from zohosync.core.kinds import KINDS
from zohosync.core.records import Desired, ParentView, Ref
from zohosync.core.replies import Found, Reply
from zohosync.core.steps import Create, Find, Step, Transition, Update

CALL_S = 0.6
"""Seconds that a call is taken to last (measured on sister products), for the limit in flight."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Calls, and the time that they take when nobody else uses the organisation."""

    calls: int
    minutes: float
    days: int

    @property
    def words(self) -> str:
        """For people: `1,200 calls, about 12 minutes` or `… over 3 days`."""
        noun = "call" if self.calls == 1 else "calls"
        if self.days > 1:
            return f"{self.calls:,} {noun}, over {self.days} days of the daily limit"
        return f"{self.calls:,} {noun}, {span_words(self.minutes * 60)}"


@dataclass(slots=True)
class Tally:
    """Steps and calls of one kind in a dry run."""

    steps: dict[str, int] = field(default_factory=dict)
    calls: int = 0

    def add(self, word: str, calls: int) -> None:
        """Count one record's step."""
        self.steps[word] = self.steps.get(word, 0) + 1
        self.calls += calls


def cost_of(calls: int, limits: Limits, *, used_today: int = 0) -> Cost:
    """What so many calls take under these limits, the first day shortened by `used_today`."""
    rates = [limits.per_minute, limits.in_flight and limits.in_flight * 60.0 / CALL_S]
    rates.append(limits.per_second and limits.per_second * 60)
    rates.append(60.0 / limits.gap_s if limits.gap_s else None)
    known = [float(rate) for rate in rates if rate]
    per_minute = min(known) * 60.0 / MINUTE_S if known else float("inf")
    minutes = calls / per_minute
    if not limits.per_day or not calls:
        return Cost(calls, minutes, 1 if calls else 0)
    left_today = max(0, limits.per_day - used_today)
    days = 1 if calls <= left_today else 1 + ceil((calls - left_today) / limits.per_day)
    return Cost(calls, minutes, days)


def calls_of(step: Step, kind: Kind, state: str | None) -> int:
    """The calls that bring a record from this step to its wanted state; look-ups as one each."""
    match step:
        case Create():
            return 1 + moves_between(kind, kind.states.initial, state)
        case Update(more=more):
            return 1 + (1 if more else 0)
        case Transition(state=reached):
            return 1 + moves_between(kind, reached, state)
        case Find():
            return 1
        case _:
            return 0


def reads_spared(
    step: Step,
    desired: Desired | None,
    parents: Mapping[Ref, ParentView],
    reply: Reply | None = None,
) -> int:
    """The look-ups that this attempt did without.

    A write: of taxes and items whose Zoho ids are known; a look-up: lists that others read.
    """
    if isinstance(reply, Found):
        return reply.spared
    if desired is None or not isinstance(step, Create | Update):
        return 0
    named = {slot.parent for slot in desired.slots if KINDS[slot.parent.kind].internal}
    return sum(1 for ref in named if ref in parents and parents[ref].zoho_id)


def moves_between(kind: Kind, here: str, there: str | None) -> int:
    """How many changes of state lead from one to the other; 0 where none do."""
    moves = 0
    while there is not None and here != there and moves < 10:
        move = kind.states.next_move(here, there)
        if move is None:
            return moves
        here, moves = move[1], moves + 1
    return moves


def span_words(seconds: float) -> str:
    """A length of time for people."""
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    if seconds < 5_400:
        return f"about {round(seconds / 60)} minutes"
    if seconds < 172_800:
        return f"about {seconds / 3_600:.1f} hours"
    return f"about {seconds / 86_400:.1f} days"


def remaining_s(done: int, left: int, elapsed_s: float) -> float | None:
    """Seconds until the rest is done at the pace so far, None before there is one."""
    if done <= 0 or elapsed_s <= 0:
        return None
    return left * elapsed_s / done
