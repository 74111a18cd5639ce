"""`make bench`: every figure beside its baseline, measured in one run."""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial

from rich.console import Console
from rich.table import Table

from benchmarks import claims, health, metrics, pruning, throughput, triggers
from benchmarks.figures import Figure
from benchmarks.ground import Ground, ground
from benchmarks.layers import Layer

MEASUREMENTS: dict[str, Callable[[Ground], list[Figure]]] = {
    "triggers": triggers.measure,
    "claims": claims.measure,
    "health": health.measure,
    "pruning": pruning.measure,
    "throughput": throughput.measure,
    "metrics": metrics.measure,
}


def main() -> int:
    """Measure what is named (everything by default) and show it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(MEASUREMENTS))
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--size", type=int, default=health.SIZE, help="records of health's book")
    told = parser.parse_args()
    measurements = MEASUREMENTS | {"health": partial(health.measure, size=told.size)}
    if unknown := set(told.names) - set(MEASUREMENTS):
        parser.error(f"no such measurement: {', '.join(sorted(unknown))}")
    names = told.names or list(MEASUREMENTS)
    began = time.perf_counter()
    figures: list[Figure] = []
    before = os.getloadavg()[0]
    with ground() as place:
        for name in names:
            figures += measurements[name](place)
        layers = throughput.profile(place) if "throughput" in names else []
        machine = {
            "cores": os.cpu_count(),
            "processor": platform.machine(),
            "python": platform.python_version(),
            "postgres": place.version,
            "load_before": round(before, 2),
            "load_after": round(os.getloadavg()[0], 2),
        }
    seconds = round(time.perf_counter() - began, 1)
    if told.json:
        shown = {
            "machine": machine,
            "seconds": seconds,
            "figures": [asdict(figure) for figure in figures],
            "profile": [asdict(layer) for layer in layers],
        }
        print(json.dumps(shown))
        return 0
    _show(figures, layers)
    about = ", ".join(f"{name} {value}" for name, value in machine.items())
    print(f"\n{about}; {seconds} s. Medians, with the least and the most in brackets.")
    return 0


def _show(figures: list[Figure], layers: list[Layer]) -> None:
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    table = Table("figure", "unit", "measured", "baseline", "aim", "met", box=None, pad_edge=False)
    for figure in figures:
        baseline = figure.baseline.shown() if figure.baseline else ""
        met = {None: "", True: "yes", False: "no"}[figure.met]
        table.add_row(figure.name, figure.unit, figure.value.shown(), baseline, figure.aim, met)
    console.print(table)
    console.print("\nBaselines:")
    for meaning in dict.fromkeys(figure.baseline_is for figure in figures if figure.baseline_is):
        console.print(f"  {meaning}")
    if layers:
        profile = Table("layer", "share", "ms a record, profiled", box=None, pad_edge=False)
        for layer in layers:
            profile.add_row(layer.layer, f"{layer.share:.0%}", f"{layer.ms:.2f}")
        console.print("\nWhere the time of a created record goes:")
        console.print(profile)


if __name__ == "__main__":
    sys.exit(main())
