"""What was measured: a figure, its baseline in the same run, and how far both were scattered."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Spread:
    """A median with the least and the most of what was measured."""

    median: float
    low: float
    high: float

    def shown(self) -> str:
        digits = 3 if abs(self.median) < 10 else 1 if abs(self.median) < 100 else 0
        middle, low, high = (f"{value:.{digits}f}" for value in (self.median, self.low, self.high))
        return f"{middle} ({low}-{high})"


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the final table."""

    name: str
    unit: str
    value: Spread
    baseline: Spread | None = None
    baseline_is: str = ""
    aim: str = ""
    met: bool | None = None


def spread(values: Sequence[float]) -> Spread:
    """The spread of some measurements."""
    return Spread(median(values), min(values), max(values))


def differences(with_: Sequence[float], without: Sequence[float]) -> Spread:
    """What is added, pair by pair: each was measured right beside the other."""
    return spread([more - less for more, less in zip(with_, without, strict=True)])


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that so many percent of the measurements do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def say(text: str) -> None:
    """Progress, on standard error."""
    print(text, file=sys.stderr, flush=True)
