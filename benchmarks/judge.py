"""The figures of one run, from the pretend Zoho's own ledger."""

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.figures import percentile
from benchmarks.line import CREATE, DAY_S, Workload, accepted
from zohosync.sandbox import Ledger, Request

LEAST = 0.1
"""The share that the bulk lane is promised while live work is there."""

SPAN_S = 120.0
"""Over which it is looked at: a call that waits for a place of the minute comes in bursts."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a strategy made of a workload; `live_*_s` is from the change to its call's arrival.

    A change whose call did not come counts with the time that it had waited in the end.
    """

    done: int
    wanted: int
    minutes: float
    budget_use: float
    rate_limit_hits: int
    blocks: int
    largest_minute: int
    live_p50_s: float | None
    live_p95_s: float | None
    live_p99_s: float | None
    live_burst_p95_s: float | None
    live_done: int
    live_within_a_minute: int
    bulk_minimum_kept: bool
    calls: int
    unspent: int | None


@dataclass(frozen=True, slots=True)
class Curves:
    """What is drawn of a run: calls by minute, live latencies, a day's calls by hour and lane."""

    per_minute: list[int]
    live_s: list[float]
    by_hour: dict[str, list[int]]


def judged(
    work: Workload, ledger: Ledger, born: dict[str, float], ended_s: float, *, lost: int = 0
) -> tuple[Outcome, Curves]:
    """The figures; `lost` is how many records were given up.

    `born` says when each live record was changed, in the loop's seconds.
    """
    calls = ledger.calls()
    ours = [call for call in calls if call.path == "/customers"]
    made = accepted(calls)
    bulk = sorted(at for name, at in made.items() if name.startswith("B"))
    # A change whose call never came has waited until now at the least.
    live = {name: made.get(name, ended_s) - at for name, at in born.items() if at <= ended_s}
    latencies = sorted(live.values())
    first = ours[0].arrived_s if ours else 0.0
    through = len(bulk) == work.backfill
    last = bulk[-1] if through else ended_s
    if lost and len(made) + lost == work.wanted:  # nothing was waiting any more
        last = ours[-1].arrived_s
    minutes = max(last - first, 1e-9) / 60
    waiting = [at for at in made.values() if first <= at <= last]
    unspent = None
    use = len(waiting) / (work.per_minute * minutes)
    if work.whole_day:
        can = work.per_day - len(work.foreign)
        use, unspent = len(made) / can, can - len(made)
    burst = []
    if work.burst:
        low, high = work.burst
        burst = [late for name, late in live.items() if low <= born[name] <= high]
    outcome = Outcome(
        done=len(made),
        wanted=work.wanted,
        minutes=round((max(made.values(), default=first) - first) / 60, 2),
        budget_use=round(use, 4),
        rate_limit_hits=ledger.rate_limit_hits,
        blocks=ledger.blocks,
        largest_minute=ledger.largest_window(),
        live_p50_s=_seconds(latencies, 50),
        live_p95_s=_seconds(latencies, 95),
        live_p99_s=_seconds(latencies, 99),
        live_burst_p95_s=_seconds(burst, 95),
        live_done=sum(name in made for name in live),
        live_within_a_minute=sum(name in made and late <= 60 for name, late in live.items()),
        bulk_minimum_kept=_kept(work, bulk, first, last),
        calls=len(ours),
        unspent=unspent,
    )
    return outcome, _curves(calls, made, latencies, ended_s)


def _curves(
    calls: list[Request], made: dict[str, float], latencies: list[float], ended_s: float
) -> Curves:
    hours: dict[str, Counter[int]] = {"live": Counter(), "bulk": Counter(), "others": Counter()}
    for name, at in made.items():
        hours["bulk" if name.startswith("B") else "live"][int(at // 3_600)] += 1
    for call in calls:
        if call.operation != CREATE and call.path != "/customers":
            hours["others"][int(call.arrived_s // 3_600)] += 1
    length = max(1, int(ended_s // 60) + 1)
    counted = Counter(int(call.arrived_s // 60) for call in calls if call.path == "/customers")
    return Curves(
        [counted[minute] for minute in range(length)],
        latencies,
        {lane: [count[hour] for hour in range(24)] for lane, count in hours.items()},
    )


def _seconds(values: list[float], percent: float) -> float | None:
    return round(percentile(values, percent), 3) if values else None


def _kept(work: Workload, bulk: list[float], first: float, last: float) -> bool:
    """Whether the bulk lane had its least share all the time that bulk work was waiting."""
    if work.whole_day:
        return sum(at < DAY_S for at in bulk) >= LEAST * (work.per_day - len(work.foreign))
    least = LEAST * work.per_minute * SPAN_S / 60
    counted = Counter(int((at - first) // SPAN_S) for at in bulk)
    return all(counted[span] >= least for span in range(int((last - first) // SPAN_S)))


def shown(outcome: Outcome) -> dict[str, Any]:
    """As JSON."""
    return asdict(outcome)
