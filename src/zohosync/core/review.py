"""The guide's monitoring checklist, answered: usage, success, cost, what to change."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from zohosync.core.kpis import Figure, worded

NEAR_PERCENT, FAR_PERCENT = 80, 20
"""Of the day's limit: from where it is too near, and up to where a smaller one would do."""

DEAR_CALLS = Decimal(2)
"""Calls per record from which it is worth knowing what they went into."""


@dataclass(frozen=True, slots=True)
class DayUse:
    """What a day used: calls of ours and of others, and the limit in force (None: none)."""

    day: date
    calls: int
    foreign: int
    limit: int | None

    @property
    def percent(self) -> int | None:
        """Of the limit, None where there is none."""
        return None if not self.limit else round(100 * (self.calls + self.foreign) / self.limit)


@dataclass(frozen=True, slots=True)
class Answer:
    """A question of the checklist, with its answer and what to do."""

    question: str
    answer: str
    steps: tuple[str, ...] = ()


def review(
    figures: Sequence[Figure], by_kind: Mapping[str, Sequence[Figure]], use: Sequence[DayUse]
) -> tuple[Answer, ...]:
    """The four answers for the period of these figures. Pure."""
    named = {figure.kpi.name: figure for figure in figures}
    steps = (*_misses(named, by_kind), *_room(use))
    changes = "Nothing: no target is missed."
    if all(figure.value is None for figure in figures):
        changes = "That cannot be said yet: no day of it has figures."
    if steps:
        changes = f"{_many(len(steps), 'thing')} to look at:"
    return (
        Answer("Daily: how much of the limit is used?", _usage(use)),
        Answer("Weekly: do the syncs succeed?", _success(named, by_kind)),
        Answer("Monthly: what did it cost?", _cost(named)),
        Answer("Quarterly: what is to be changed?", changes, steps),
    )


def _usage(use: Sequence[DayUse]) -> str:
    if not use:
        return "No call was made."
    ours, others = sum(day.calls for day in use), sum(day.foreign for day in use)
    mean = f"{_many(round((ours + others) / len(use)), 'call')} a day on average"
    if others:
        mean += f", {round(100 * others / (ours + others))} % of them by others"
    peak = max(use, key=lambda day: (day.percent or 0, day.calls + day.foreign))
    if peak.percent is None:
        return f"No daily limit is in force; {mean}."
    return (
        f"At the most {peak.percent} % of a day's limit ({peak.calls + peak.foreign:,} of "
        f"{peak.limit:,} on {peak.day}); {mean}."
    )


def _success(named: Mapping[str, Figure], by_kind: Mapping[str, Sequence[Figure]]) -> str:
    rate, failed = named["success_rate"], named["failed_syncs"]
    if rate.value is None:
        return "Nothing had to be brought into step."
    told = f"{rate.shown} of the syncs succeeded (target {rate.aim}), {failed.shown} failed"
    worst = _worst(by_kind, "success_rate")
    return f"{told}; the least of {worst}." if worst and failed.value else f"{told}."


def _cost(named: Mapping[str, Figure]) -> str:
    calls, saved = named["api_calls"].value or Decimal(0), named["calls_saved"].value or Decimal(0)
    told = _many(int(calls), "call")
    if named["calls_per_record"].value is not None:
        told += f", {named['calls_per_record'].shown} for each record that was brought into step"
    if not saved:
        return f"{told}; none was saved."
    return f"{told}; {int(saved):,} were saved ({round(100 * saved / (calls + saved))} % of all)."


def _misses(
    named: Mapping[str, Figure], by_kind: Mapping[str, Sequence[Figure]]
) -> tuple[str, ...]:
    """What to do about each target that is missed."""
    found = []
    for name, words in _REMEDIES.items():
        figure = named[name]
        if figure.met is False:
            worst = _worst(by_kind, name)
            most = f"; most of all {worst}" if worst else ""
            found.append(
                f"{figure.kpi.title.capitalize()} is {figure.shown} (target {figure.aim}){most}: "
                f"{words}"
            )
    dear = named["calls_per_record"]
    if dear.value is not None and dear.value > DEAR_CALLS:
        found.append(
            f"{dear.shown} calls per record: `zohosync report --usage` shows what they went into; "
            "a longer debounce_s merges more changes"
        )
    return tuple(found)


_REMEDIES = {
    "success_rate": "`zohosync status` names the reasons, each with a sample key; mend mapping or "
    "rows",
    "avg_sync_time": "attempts wait for the limits, or Zoho is slow: `zohosync logs --calls` tells "
    "which; let backfills run by night, or give the lane a larger share in [lanes]",
    "avg_attempts": "`zohosync logs` shows what failed first; after 5xx and lost replies, fewer "
    "calls in flight ([pace] most)",
    "failed_syncs": "`zohosync status`, then `zohosync why KIND KEY`; after mending, "
    "`zohosync retry`",
    "rate_limit_hits": "lower [limits], or keep more back for other users of the organisation "
    "(lanes.others)",
    "stale_syncs": "`zohosync status` shows what waits and why; `zohosync settle` what needs a "
    "person's word",
}


def _room(use: Sequence[DayUse]) -> tuple[str, ...]:
    """What the days' use says of the limit."""
    percents = [day.percent for day in use if day.percent is not None]
    if not percents:
        return ()
    near = sum(percent >= NEAR_PERCENT for percent in percents)
    if near:
        words = (
            f"On {_many(near, 'day')} of {len(percents)} at least {NEAR_PERCENT} % of the limit "
            "was used: `zohosync plan --forecast` shows what the next plan would do; a longer "
            "debounce_s, or fewer watched columns, needs fewer calls"
        )
    elif len(percents) >= 28 and max(percents) <= FAR_PERCENT:
        words = (
            f"No day used more than {max(percents)} % of its limit: a smaller plan would do, "
            "if nothing else needs this one"
        )
    else:
        return ()
    return (words,)


def _worst(by_kind: Mapping[str, Sequence[Figure]], name: str) -> str:
    """The kind that does worst in a figure, with its value; empty where there is only one."""
    known = [
        (figure.value, kind, figure)
        for kind, figures in by_kind.items()
        for figure in figures
        if figure.kpi.name == name and figure.value is not None
    ]
    if len(known) < 2:
        return ""
    high = known[0][2].kpi.better == "high"
    value, kind, figure = (min if high else max)(known, key=lambda each: (each[0], each[1]))
    return f"{kind} ({worded(figure.kpi, value)})"


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
