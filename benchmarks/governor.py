"""`make bench-governor`: who spends a small quota best; ours beside what people use today."""

import argparse
import json
import multiprocessing
import os
import platform
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from rich.console import Console
from rich.table import Table

from benchmarks.figures import say
from benchmarks.ground import Ground, ground
from benchmarks.judge import Outcome, shown
from benchmarks.line import workloads
from benchmarks.rivals import rivals
from benchmarks.trial import Result, engine, tried

OURS = "zohosync"
HEAD = "steady/zoho"
"""The workload that `strategies` is about."""

# Time is virtual: how fast the disk is has no say in any figure.
FAST = ("alter system set fsync = off", "alter system set synchronous_commit = off")

ENGINE_RUNS = (
    ("steady/zoho", 1), ("burst/zoho", 1), ("steady/guide", 1), ("burst/guide", 1),
    ("day/zoho", 1), ("workers/zoho", 8), ("workers/zoho", 4), ("workers/zoho", 2),
    ("workers/zoho", 1),
)  # fmt: skip
QUICK_RUNS = (("steady/zoho", 1), ("workers/zoho", 2))
DAY_RIVALS = ("guide's queue", "exponential back-off", "sliding window, 90 %",
              "pyrate-limiter, 90 %")  # fmt: skip
"""Over a day, which takes long to simulate, one of each sort."""

RIVALS_RUN = ("steady/zoho", "burst/zoho", "steady/guide", "burst/guide", "day/zoho")


@dataclass(frozen=True, slots=True)
class Trial:
    """One strategy on one workload; `url` is the database of an engine's run."""

    workload: str
    strategy: str
    workers: int = 0
    url: str = ""
    quick: bool = False

    def run(self) -> Result:
        """In virtual time, in this process."""
        work = workloads(quick=self.quick)[self.workload]
        if self.workers:
            return engine(self.url, self.workers, work)
        return tried(rivals()[self.strategy], work)


def ours(workers: int) -> str:
    """Our name in the tables."""
    return OURS if workers == 1 else f"{OURS}, {workers} workers"


@contextmanager
def trials(place: Ground, *, quick: bool, only: str) -> Iterator[list[Trial]]:
    """All of them, the longest first; their databases are there while the block runs."""
    with psycopg.connect(place.postgres.url(), autocommit=True) as link:
        for statement in (*FAST, "select pg_reload_conf()"):
            link.execute(statement)
    with ExitStack() as stack:
        planned = [
            Trial(work, ours(workers), workers, stack.enter_context(place.database()), quick)
            for work, workers in (QUICK_RUNS if quick else ENGINE_RUNS)
            if only in work
        ]
        names = [] if only == "workers" else list(rivals())
        planned += [
            Trial(work, name, quick=quick)
            for work in (RIVALS_RUN[:1] if quick else RIVALS_RUN)
            if only in work
            for name in names
            if name in DAY_RIVALS or not work.startswith("day")
        ]
        yield planned


def measured(planned: list[Trial], processes: int) -> dict[tuple[str, str], Result]:
    """Run them all, so many at a time."""
    found: dict[tuple[str, str], Result] = {}
    context = multiprocessing.get_context("spawn")
    began = time.perf_counter()
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        running = {pool.submit(Trial.run, trial): trial for trial in planned}
        for future in as_completed(running):
            trial = running[future]
            found[trial.workload, trial.strategy] = future.result()
            outcome = found[trial.workload, trial.strategy].outcome
            say(
                f"{time.perf_counter() - began:5.0f} s  {trial.workload}: {trial.strategy}: "
                f"{outcome.done} of {outcome.wanted}, {outcome.rate_limit_hits} refused"
            )
    return {(trial.workload, trial.strategy): found[trial.workload, trial.strategy]
            for trial in planned}  # fmt: skip


def main() -> int:
    """Measure, show, draw."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.governor", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--quick", action="store_true", help="few records: under a minute")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="write PNG pictures there")
    parser.add_argument("--only", default="", metavar="WORD", help="workloads with it in the name")
    parser.add_argument(
        "--strategy", default="", metavar="WORD", help="strategies with it in the name"
    )
    parser.add_argument("--processes", type=int, default=min(2, os.cpu_count() or 1))
    told = parser.parse_args()
    began, load = time.perf_counter(), os.getloadavg()[0]
    with ground() as place, trials(place, quick=told.quick, only=told.only) as planned:
        chosen = [trial for trial in planned if told.strategy in trial.strategy]
        found = measured(chosen, told.processes)
        postgres = place.version
    machine = {
        "cores": os.cpu_count(),
        "processor": platform.machine(),
        "python": platform.python_version(),
        "postgres": postgres,
        "load_before": round(load, 2),
        "load_after": round(os.getloadavg()[0], 2),
        "seconds": round(time.perf_counter() - began, 1),
    }
    if told.plots:
        from benchmarks.plots import draw  # noqa: PLC0415 - matplotlib is in the group bench only

        draw(found, told.plots)
    by_work: dict[str, dict[str, Outcome]] = {}
    for (work, name), result in found.items():
        by_work.setdefault(work, {})[name] = result.outcome
    if told.json:
        told_of = {
            work: {name: shown(outcome) for name, outcome in outcomes.items()}
            for work, outcomes in by_work.items()
        }
        print(json.dumps({"strategies": told_of.get(HEAD, {}), "workloads": told_of,
                          "machine": machine}))  # fmt: skip
        return 0
    for work, outcomes in by_work.items():
        _show(work, outcomes)
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    return 0


def _show(work: str, outcomes: Mapping[str, Outcome]) -> None:
    console = Console(width=None if sys.stdout.isatty() else 170, highlight=False)
    day = "unspent" if work.startswith("day") else "burst p95 s"
    columns = ("strategy", "done", "minutes", "budget use", "refused", "blocks", "live p50 s",
               "p95 s", "p99 s", day, "bulk's least", "calls")  # fmt: skip
    table = Table(*columns, title=work, title_justify="left", box=None, pad_edge=False)
    for name, seen in outcomes.items():
        extra = seen.unspent if day == "unspent" else seen.live_burst_p95_s
        table.add_row(
            name,
            f"{seen.done:,} of {seen.wanted:,}",
            f"{seen.minutes:.1f}",
            f"{seen.budget_use:.1%}",
            f"{seen.rate_limit_hits:,}",
            str(seen.blocks),
            *(_seconds(value) for value in (seen.live_p50_s, seen.live_p95_s, seen.live_p99_s)),
            "" if extra is None else f"{extra:,}",
            "kept" if seen.bulk_minimum_kept else "not kept",
            f"{seen.calls:,}",
        )
    console.print(table)
    console.print()


def _seconds(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if value < 10 else f"{value:,.0f}"


if __name__ == "__main__":
    sys.exit(main())
