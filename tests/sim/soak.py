"""Runs seeds for as long as asked, over all profiles, and keeps count: the body of `make soak`."""

import argparse
import multiprocessing
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from queue import Empty
from typing import Any

from zohosync.simulate.arena import Arena
from zohosync.simulate.run import Report, simulate
from zohosync.simulate.troubles import FAMILIES, SORTS
from zohosync.testing.world import quick_folder

TURN = ("all", "all", *FAMILIES)
"""Profiles in turn; every other round one fault alone takes the place of a family."""

ALONE_S, AN_HOUR_S = 120, 60
"""How long a run may take, and how much longer with each virtual hour: 30 times what it does."""


def plan(first: int, days: int) -> Iterator[tuple[int, str, float]]:
    """Seeds without end: the whole days first, then runs of four hours."""
    yield from ((first + number, "all", 24.0) for number in range(days))
    seed = first + days
    alone = list(SORTS)
    while True:
        profile = TURN[seed % len(TURN)]
        if seed % 3 == 0:
            profile = alone[seed // 3 % len(alone)]
        yield seed, profile, 4.0
        seed += 1


class EndlessError(KeyboardInterrupt):
    """A run does not come to its end; a kind of interrupt, since no event loop keeps those."""


def give_up(*_: object) -> None:
    raise EndlessError


def work(jobs: Any, done: Any) -> None:
    """One process with a server of its own."""
    signal.signal(signal.SIGALRM, give_up)
    with tempfile.TemporaryDirectory(prefix="zohosync-soak-", dir=quick_folder()) as folder:
        Path(folder).chmod(0o711)
        with Arena(Path(folder, "postgres")) as arena:
            while (job := jobs.get()) is not None:
                seed, profile, hours = job
                signal.alarm(ALONE_S + round(hours * AN_HOUR_S))
                try:
                    done.put(simulate(arena, seed, hours=hours, profile=profile))
                except BaseException as error:  # it is a finding, too
                    done.put((seed, profile, hours, repr(error)))
                    if not isinstance(error, Exception | EndlessError):
                        raise
                finally:
                    signal.alarm(0)


class Tally:
    """What came of it so far."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.seeds = self.days = self.calls = self.acts = 0
        self.virtual_hours = 0.0
        self.faults: Counter[str] = Counter()
        self.failed: list[str] = []

    def add(self, report: Report | tuple[int, str, float, str]) -> None:
        if not isinstance(report, Report):
            seed, profile, hours, error = report
            self.failed.append(f"{profile} {seed} {hours:g}  # {error}")
            print(self.failed[-1], flush=True)
            return
        self.seeds += 1
        self.days += report.hours >= 24
        self.calls += report.calls
        self.acts += report.acts
        self.virtual_hours += report.virtual_hours
        self.faults.update(report.faults)
        if report.violations:
            self.failed.append(
                f"{report.profile} {report.seed} {report.hours:g}  # {report.violations[0]}"
            )
            print(self.failed[-1], flush=True)
            for violation in report.violations[1:4]:
                print(f"    {violation}", flush=True)

    def told(self) -> str:
        hours = (time.monotonic() - self.began) / 3600
        return (
            f"{self.seeds} seeds ({self.days} of them whole days) in {hours * 60:.1f} min: "
            f"{self.seeds / hours:,.0f} seeds/hour, {self.virtual_hours:,.0f} virtual hours, "
            f"{self.acts:,} changes, {self.calls:,} calls, "
            f"{sum(self.faults.values()):,} faults injected of {len(self.faults)} sorts, "
            f"{len(self.failed)} seeds with violations"
        )


def main() -> int:
    """Run; exit code 1 when a promise was broken."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--minutes", type=float, default=60.0)
    asked.add_argument("--seeds", type=int, default=1_000_000, help="at most so many")
    asked.add_argument("--first", type=int, default=1_000)
    asked.add_argument("--days", type=int, default=0, help="whole days, before the rest")
    asked.add_argument("--jobs", type=int, default=2)
    given = asked.parse_args()
    context = multiprocessing.get_context("spawn")
    jobs, done = context.Queue(given.jobs), context.Queue()
    workers = [context.Process(target=work, args=(jobs, done)) for _ in range(given.jobs)]
    for worker in workers:
        worker.start()
    tally = Tally()
    running, told_at = 0, time.monotonic()
    for number, job in enumerate(plan(given.first, given.days)):
        over = time.monotonic() - tally.began > given.minutes * 60 or number >= given.seeds
        while running and (over or running > given.jobs):
            try:
                tally.add(done.get(timeout=1))
                running -= 1
            except Empty:
                if not any(worker.is_alive() for worker in workers):
                    print("every process is gone")
                    return 1
        if over:
            break
        jobs.put(job)
        running += 1
        if time.monotonic() - told_at > 30:
            told_at = time.monotonic()
            print(tally.told(), flush=True)
    for _ in workers:
        jobs.put(None)
    for worker in workers:
        worker.join()
    print(tally.told())
    print(", ".join(f"{name} {count:,}" for name, count in sorted(tally.faults.items())))
    if tally.failed:
        print("Keep these in tests/sim/seeds.txt:", *tally.failed, sep="\n")
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
