"""What our triggers add to a business write, beside the same table without them."""

import asyncio
import itertools
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import median
from typing import Any

import psycopg

from benchmarks.figures import Figure, differences, say, spread
from benchmarks.ground import Ground, opened
from zohosync.clock import SystemClock
from zohosync.store.capture import Watch, install_watches

SINGLE = 1_000
"""Single-row writes of each sort, each beside its baseline."""

ROWS, ROUNDS = 10_000, 7
"""Rows of a bulk statement, and how often it is run."""

SINGLE_AIM_MS, BULK_AIM_US = 0.05, 5.0

TABLE = """
create table public.t_{sort} (
  id bigint primary key, parent_id bigint not null, name text not null, amount numeric(12, 2),
  note text, updated_at timestamptz default now()
) with (autovacuum_enabled = off);
"""

# What one would write first: each changed row looks up its record and raises it.
NAIVE = """
create table public.naive_records (like zohosync.records including all);
create function public.naive() returns trigger language plpgsql security definer as $$
begin
  insert into public.naive_records as r (org_id, kind, key, due_at)
  values ('1', 'customers', new.id::text, clock_timestamp())
  on conflict (org_id, kind, key) do update
     set version = r.version + 1, due_at = excluded.due_at;
  return null;
end $$;
create trigger naive after insert or update on public.t_naive
  for each row execute function public.naive();
"""

SORTS = ("none", "key", "child", "naive")
WATCHES = (
    Watch("public.t_key", "customers", key="id"),
    Watch("public.t_child", "invoices", key="parent_id"),
)
WORDS = {
    "key": "key watch",
    "child": "child-table watch",
    "naive": "naive row trigger that upserts (for comparison)",
}


def measure(ground: Ground) -> list[Figure]:
    """Single rows and 10,000 in one statement, inserted and updated."""
    with ground.database() as url, _tables(url) as link:
        say("triggers: single rows …")
        figures = _figures(link, "insert", singly=True) + _figures(link, "update", singly=True)
        say(f"triggers: {ROWS:,} rows in one statement …")
        return figures + _figures(link, "insert") + _figures(link, "update")


@contextmanager
def _tables(url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(url, autocommit=True) as link:
        for sort in SORTS:
            link.execute(TABLE.format(sort=sort).encode())
        link.execute(NAIVE.encode())
        asyncio.run(_watch(url))
        yield link


async def _watch(url: str) -> None:
    async with opened(url) as database:
        await install_watches(database, WATCHES, clock=SystemClock())


def _figures(link: psycopg.Connection, verb: str, *, singly: bool = False) -> list[Figure]:
    """Every sort of trigger for one sort of write."""
    took = _singly(link, verb) if singly else _in_bulk(link, verb)
    unit = "ms" if singly else "µs a row"
    aim = SINGLE_AIM_MS if singly else BULK_AIM_US
    what = f"single-row {verb}" if singly else f"{verb} of {ROWS:,} rows"
    figures = []
    for sort in SORTS[1:]:
        added = differences(took[sort], took["none"])
        held = sort != "naive"
        figures.append(
            Figure(
                name=f"{what}, {WORDS[sort]}: adds",
                unit=unit,
                value=added,
                baseline=spread(took["none"]),
                baseline_is="the same write without a trigger",
                aim=f"≤ {aim:g}" if held else "",
                met=added.median <= aim if held else None,
            )
        )
    return figures


def _singly(link: psycopg.Connection, verb: str) -> dict[str, list[float]]:
    """Milliseconds of a statement, as medians of 100 in a transaction; the commit is not in it."""
    numbers = itertools.count(1_000_000)
    took: dict[str, list[float]] = {sort: [] for sort in SORTS}
    for batch in range(SINGLE // 100 + 1):
        block: dict[str, list[float]] = {sort: [] for sort in SORTS}
        link.execute(b"begin")
        for _ in range(100):
            n = next(numbers)
            for sort in _turned(SORTS, n):
                text = _insert(sort) if verb == "insert" else _update(sort)
                values = _values(n)
                began = time.perf_counter()
                link.execute(text, values, prepare=True)
                block[sort].append((time.perf_counter() - began) * 1_000)
        link.execute(b"commit")
        if batch:  # the first hundred are for warming up
            for sort in SORTS:
                took[sort].append(median(block[sort]))
    return took


def _in_bulk(link: psycopg.Connection, verb: str) -> dict[str, list[float]]:
    """Microseconds a row, the commit included."""
    took: dict[str, list[float]] = {sort: [] for sort in SORTS}
    for turn in range(ROUNDS + 1):
        low = 10_000_000 + (turn * ROWS if verb == "insert" else 0)
        bounds = {"low": low, "high": low + ROWS - 1}
        for sort in _turned(SORTS, turn):
            text = _bulk_insert(sort) if verb == "insert" else _bulk_update(sort)
            began = time.perf_counter()
            link.execute(text, bounds)
            if turn:
                took[sort].append((time.perf_counter() - began) * 1_000_000 / ROWS)
        link.execute(b"truncate zohosync.marks")
    return took


def _turned(sorts: Sequence[str], turn: int) -> Iterator[str]:
    """The sorts, another one first each time, so that none always follows the same."""
    start = turn % len(sorts)
    return iter((*sorts[start:], *sorts[:start]))


def _values(n: int) -> dict[str, Any]:
    return {"id": n, "parent": n % 2000 + 1, "name": f"row {n}", "amount": n % 1000}


def _insert(sort: str) -> bytes:
    return (
        f"insert into public.t_{sort} (id, parent_id, name, amount)"
        " values (%(id)s, %(parent)s, %(name)s, %(amount)s)"
    ).encode()


def _update(sort: str) -> bytes:
    return f"update public.t_{sort} set amount = %(amount)s where id = %(id)s".encode()


def _bulk_insert(sort: str) -> bytes:
    return (
        f"insert into public.t_{sort} (id, parent_id, name, amount)"
        " select n, n %% 2000 + 1, 'row ' || n, n %% 1000"
        " from generate_series(%(low)s::bigint, %(high)s::bigint) as n"
    ).encode()


def _bulk_update(sort: str) -> bytes:
    return (
        f"update public.t_{sort} set amount = amount + 1"
        " where id between %(low)s::bigint and %(high)s::bigint"
    ).encode()
