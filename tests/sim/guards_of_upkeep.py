"""The guards of upkeep: counts, retention, forgetting and alerts; a seed must notice each."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sim.guard_kit import Case
from sim.guard_off import Guard, name, query
from zohosync import jobs
from zohosync.core.alerts import Alert, Decision, Manners, decide
from zohosync.core.causes import Cause
from zohosync.engine import alerts, keeper
from zohosync.simulate.arena import Arena
from zohosync.simulate.run import simulate


def seeded(seed: int, profile: str, hours: float) -> Case:
    """A seed as a case."""

    def play(arena: Arena) -> list[str]:
        report = simulate(arena, seed, hours=hours, profile=profile)
        return [f"{each.oracle}: {each.what}" for each in report.violations]

    return Case(f"seed {seed} ({profile}), {hours:g} h", play)


async def _nothing_is_pruned(*_: object) -> None:
    """Whatever is old stays."""


def _told_anew(
    causes: Sequence[Cause], known: Iterable[Alert], manners: Manners, now: datetime
) -> Decision:
    """As if nobody had been told anything."""
    del known
    return decide(causes, [], manners, now)


def _never_due(*_: Any) -> list[str]:
    return []


CALM, LEAVING = seeded(3, "calm", 1.0), seeded(2, "forgotten", 1.0)

OF_UPKEEP: Mapping[str, Guard] = {
    "counts are summed": Guard(
        "what changed is added to the counts, and does not take their place",
        query("fold_counts", ("set records = c.records + excluded", "set records = excluded")),
        CALM,
    ),
    "what is old goes": Guard(
        "attempts and calls are let go of when their days are over",
        name(jobs, "prune", _nothing_is_pruned),
        CALM,
    ),
    "upkeep is done": Guard(
        "the leading worker does each job when its time has come",
        name(keeper, "due", _never_due),
        CALM,
    ),
    "a state is told once": Guard(
        "what somebody was told is not told again while it stands",
        name(alerts, "decide", _told_anew),
        LEAVING,
    ),
    "what is forgotten goes": Guard(
        "of whom is forgotten no row of ours tells",
        query("forget_record", ("held h\nwhere h.intent_id is null", "held h\nwhere false")),
        LEAVING,
    ),
}  # fmt: skip
