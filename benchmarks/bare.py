"""Admissions at their barest, to hold ours against: one limit, no lanes, no leases, no evidence.

`in_turn` locks, counts and inserts as ours does, by the same client in as many round trips;
`in_the_database` is one call of a function.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

import psycopg

from zohosync.clock import Chance

Link = psycopg.AsyncConnection

SCHEMA = """
create table public.bare_orgs (org text primary key, per_minute int not null);
insert into public.bare_orgs select n::text, 100 from generate_series(1, {orgs}) n;
create table public.bare_calls (org text not null, at timestamptz not null);
create index on public.bare_calls (org, at);
create function public.bare_admit(asked text) returns boolean language plpgsql as $$
declare places int; taken int;
begin
  select per_minute into places from public.bare_orgs where org = asked for update;
  select count(*) into taken from public.bare_calls
   where org = asked and at > clock_timestamp() - interval '60 s';
  if taken < places then
    insert into public.bare_calls values (asked, clock_timestamp());
  end if;
  return taken < places;
end $$
"""
LOCK = "select per_minute from public.bare_orgs where org = %s for update"
COUNT = (
    "select count(*) from public.bare_calls "
    "where org = %s and at > clock_timestamp() - interval '60 s'"
)
TAKE = "insert into public.bare_calls values (%s, clock_timestamp())"


async def in_turn(link: Link, org: str) -> bool:
    """Lock and count in one round trip, insert and commit in the next."""
    async with link.pipeline():
        await link.execute("begin")
        locked = await link.execute(LOCK, (org,))
        counted = await link.execute(COUNT, (org,))
    places, taken = await locked.fetchone(), await counted.fetchone()
    free = bool(places and taken and taken[0] < places[0])
    async with link.pipeline():
        if free:
            await link.execute(TAKE, (org,))
        await link.execute("commit")
    return free


async def in_the_database(link: Link, org: str) -> bool:
    """All of it in one statement."""
    row = await (await link.execute("select public.bare_admit(%s)", (org,))).fetchone()
    return bool(row and row[0])


WAYS: dict[str, Callable[[Link, str], Awaitable[bool]]] = {
    "bare, in two round trips": in_turn,
    "bare, a function in the database": in_the_database,
}


def process(url: str, number: int, way: str, start_at: float, size: tuple[int, int, float]) -> int:
    """One OS process: how many it admitted, for organisations by chance.

    `size` is how many of them there are, how many tasks ask, and for how many seconds.
    """
    orgs, tasks, seconds = size

    async def run() -> int:
        chance, found = Chance(number), 0
        links = [
            await Link.connect(
                url, autocommit=True, prepare_threshold=2, options="-c enable_seqscan=off"
            )  # planned while the table is empty
            for _ in range(tasks)
        ]
        await asyncio.sleep(max(0.0, start_at - time.time()))

        async def task(link: Link) -> None:
            nonlocal found
            while time.time() < start_at + seconds:
                free = await WAYS[way](link, str(chance.integer(1, orgs)))
                found += free

        async with asyncio.TaskGroup() as group:
            for link in links:
                group.create_task(task(link))
        for link in links:
            await link.close()
        return found

    return asyncio.run(run())
