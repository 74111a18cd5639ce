"""Whole runs: the seeds that once failed, and some of each profile, every promise judged."""

from collections.abc import Callable
from pathlib import Path

import pytest

from zohosync.simulate.arena import Arena
from zohosync.simulate.run import simulate
from zohosync.simulate.troubles import FAMILIES, SORTS

pytestmark = pytest.mark.sim

SEEDS = Path(__file__).with_name("seeds.txt")


def kept() -> list[tuple[str, int, float]]:
    """The seeds of the file: profile, seed, hours."""
    lines = (line.partition("#")[0].split() for line in SEEDS.read_text().splitlines())
    return [(line[0], int(line[1]), float(line[2])) for line in lines if line]


def whole_days_are_slow(runs: list[tuple[str, int, float]]) -> list[object]:
    """A day takes half a minute: `make sim` leaves those out."""
    return [pytest.param(*run, marks=pytest.mark.slow) if run[2] > 8 else run for run in runs]


CHOSEN = [
    ("all", 2, 4.0),
    *((family, 100 + place, 1.0) for place, family in enumerate(("calm", *FAMILIES))),
]
ALONE = [(fault, 200 + place, 0.5) for place, fault in enumerate(SORTS)]


@pytest.mark.parametrize(("profile", "seed", "hours"), whole_days_are_slow([*kept(), *CHOSEN]))
def test_every_promise_is_kept(
    arena: Arena,
    profile: str,
    seed: int,
    hours: float,
    record_property: Callable[[str, object], None],
) -> None:
    report = simulate(arena, seed, hours=hours, profile=profile)
    record_property("virtual hours", report.virtual_hours)
    record_property("faults", sum(report.faults.values()))
    again = f"zohosync simulate --seed {seed} --hours {hours:g} --faults {profile}"
    assert not report.violations, again


@pytest.mark.slow
@pytest.mark.parametrize(("fault", "seed", "hours"), ALONE)
def test_every_promise_is_kept_beside_one_fault_alone(
    arena: Arena, fault: str, seed: int, hours: float
) -> None:
    assert not simulate(arena, seed, hours=hours, profile=fault).violations


def test_one_seed_gives_one_trace_byte_for_byte(arena: Arena) -> None:
    once, twice = (simulate(arena, 7, hours=1.0) for _ in range(2))
    assert once.lines == twice.lines
    assert once == twice
    assert simulate(arena, 8, hours=1.0).trace != once.trace
