"""A profile by layer: what is called from everywhere is put down to whoever called it."""

import pstats
from collections import Counter
from dataclasses import dataclass
from typing import Any

Function = tuple[str, int, str]

# The first that fits; where a file is in none of them, its time belongs to its callers.
PLACES = (
    ("zohosync/sandbox/", "sandbox"),
    ("starlette/", "sandbox"),
    ("httpx2/_transports/asgi", "sandbox"),
    ("httpx2/", "http client (httpx2)"),
    ("httpcore2/", "http client (httpx2)"),
    ("zohosync/zoho/", "zoho: requests and answers"),
    ("psycopg", "store: round trips (psycopg)"),
    ("zohosync/store/", "store: ours"),
    ("zohosync/core/", "core"),
    ("zohosync/engine/", "engine"),
    ("zohosync/testing/", "benchmark"),
    ("benchmarks/", "benchmark"),
    ("asyncio/", "asyncio"),
    ("selectors.py", "asyncio"),
)
WAITING = "waiting for Postgres"
"""Everything else is in this process, so whoever waits there waits for Postgres."""

DEPTH = 6


@dataclass(frozen=True, slots=True)
class Layer:
    """What a layer took of one record."""

    layer: str
    share: float
    ms: float


def layers_of(stats: pstats.Stats, records: int) -> list[Layer]:
    """The layers, the dearest first, in milliseconds a record (with the profiler's own weight)."""
    table: dict[Function, tuple[Any, ...]] = stats.stats  # type: ignore[attr-defined]
    took: Counter[str] = Counter()
    for function, (_, _, own_s, _, _) in table.items():
        for layer, share in _shares(table, function, DEPTH).items():
            took[layer] += own_s * share
    total = sum(took.values())
    return [Layer(name, s / total, s * 1_000 / records) for name, s in took.most_common()]


def _shares(table: dict[Function, tuple[Any, ...]], function: Function, depth: int) -> Counter[str]:
    """Whose work a function is: its own layer's, else its callers' in proportion."""
    file, _, name = function
    if "'poll' of 'select" in name:
        return Counter({WAITING: 1.0})
    found = next((layer for place, layer in PLACES if place in file), None)
    callers = table[function][4] if function in table else {}
    weights = {caller: told[2] for caller, told in callers.items() if caller != function}
    total = sum(weights.values())
    if found or not depth or total <= 0:
        return Counter({found or "Python itself": 1.0})
    shares: Counter[str] = Counter()
    for caller, weight in weights.items():
        for layer, share in _shares(table, caller, depth - 1).items():
            shares[layer] += share * weight / total
    return shares
