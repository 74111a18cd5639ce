"""One seed, one run: the hours with their trouble, the quiet after them, and the verdict."""

import gc
import hashlib
import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from zohosync.core.kinds import MAPPED
from zohosync.core.records import Ref
from zohosync.simulate import keeping, promises
from zohosync.simulate.arena import Arena
from zohosync.simulate.evidence import Promise
from zohosync.simulate.happenings import HAPPENINGS, set_right
from zohosync.simulate.operators import books_before, go_live, look_at_brakes, settle
from zohosync.simulate.oracles import Scene, Violation, judge
from zohosync.simulate.promises import CUSTOMERS, Diary
from zohosync.simulate.world import World
from zohosync.store.source import Source
from zohosync.testing.virtual import VirtualClock
from zohosync.testing.virtual import run as run_virtually

ACTS_PER_HOUR, AT_NIGHT, WORKING_HOURS = 30.0, 6.0, 10.0
"""How busy the company is: a run begins with its working day, and a night follows; about two
hundred records change in four hours."""

QUIET_DAYS = 3
"""How long after the last fault a run may need until nothing moves by itself any more."""

SITTINGS = 5
"""How often an operator comes back to what waits for a word, when all else rests."""

LINK_HORIZON_S = 30_000.0
"""What is due within this time is waited for; an invoice that Zoho is to raise is looked for after
one hour and after six, and then daily."""

START = datetime(2026, 3, 10, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a run: the same seed, hours, workers and profile give the same, always."""

    seed: int
    profile: str
    hours: float
    workers: int
    trace: str
    violations: tuple[Violation, ...]
    records: dict[str, int]
    calls: int
    virtual_hours: float
    faults: dict[str, int]
    acts: int
    lines: tuple[str, ...] = field(repr=False, default=())

    def as_json(self) -> dict[str, Any]:
        """As plain values."""
        told = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "lines"}
        told["violations"] = [{"oracle": v.oracle, "what": v.what} for v in self.violations]
        return told


async def live(world: World, hours: float, workers: int) -> None:
    """The hours with their trouble, and the quiet after them."""
    async with world.tasks as tasks:
        world.act(world.company.founding(world.clock.now()))
        if "books_before" in world.given:
            await books_before(world)
        for _ in range(workers):
            world.start()
        if "books_before" in world.given:
            tasks.create_task(go_live(world))
        tasks.create_task(keeping.aged(world))
        business = tasks.create_task(_business(world, hours))
        for at_s, name in world.troubles.events(hours):
            await world.clock.sleep(at_s - world.clock.monotonic())
            world.troubles.struck[name] += 1
            tasks.create_task(_happen(world, name))
        await business
        await set_right(world)
        await _quiet(world)
        world.over, world.quiet_at = True, world.clock.monotonic()
        for process in list(world.current):
            world.retire(process)


async def _happen(world: World, name: str) -> None:
    world.interrupted(name)
    await HAPPENINGS[name](world)
    world.interrupted(f"{name} is over")


async def _business(world: World, hours: float) -> None:
    end_s = hours * 3600
    while True:
        awake = world.clock.monotonic() / 3600 % 24 < WORKING_HOURS
        per_hour = ACTS_PER_HOUR if awake else AT_NIGHT
        gap_s = -3600 / per_hour * math.log(1 - world.chance.random())
        if world.clock.monotonic() + gap_s >= end_s:
            break
        await world.clock.sleep(gap_s)
        world.act(world.company.act(world.clock.now()))
        world.watch(world.clock.monotonic() / 3600)
    await world.clock.sleep(end_s - world.clock.monotonic())


async def _quiet(world: World) -> None:
    """Wait until nothing moves by itself any more."""
    give_up = world.clock.monotonic() + QUIET_DAYS * 86_400
    left: dict[str, Any] = {}
    sittings = 0
    while world.clock.monotonic() < give_up:
        await world.clock.sleep(120)
        now = world.ground.database_now()
        (left,) = world.overseer.rows(_LEFT, {"horizon_s": LINK_HORIZON_S, "now": now})
        if not left["busy"] and (not left["held"] or sittings >= SITTINGS):
            return
        if not left["busy"]:  # what could not be done while Zoho was closed to us
            sittings += 1
            await settle(world)
        await look_at_brakes(world)
        await world.clock.sleep(min(max(0.0, left["due_in_s"] or 0.0), 3_000.0))
    world.bugs.append(Violation("quiet", f"not quiet after {QUIET_DAYS} days: {left}"))


_LEFT = """
select exists (select from zohosync.marks)
    or exists (select from zohosync.records r where r.lease_until is not null
                or (r.due_at is not null
                    and r.due_at < %(now)s + make_interval(secs => %(horizon_s)s))) as busy,
  exists (select from zohosync.records r
           where (r.rivals <> '{}' and r.zoho_id is null)
              or (r.status = 'failed' and r.error_code = 're-used')) as held,
  (select extract(epoch from min(r.due_at) - %(now)s)::float8 from zohosync.records r
    where r.lease_until is null and r.due_at is not null) as due_in_s
"""


def _blocks(world: World) -> int:
    """How many blocks were none of our doing: scripted, or others had used up the minute."""
    ledger = world.sandbox.ledger
    if world.foreign_calls:
        return ledger.blocks
    scripted = [r for r in ledger.requests if r.fault == "rate_limit" and r.code in (43, 44)]
    return len(scripted)


async def _judged(world: World) -> list[Violation]:
    database = await world.connected()
    try:
        source = await Source.open(
            database, world.mapping, installation=world.installation(), marker_field=None,
            time_zone=world.zone,
        )  # fmt: skip
        scene = Scene(
            database=database, source=source, sandbox=world.sandbox,
            org_id=world.sandbox.organization_id, excuse=world.excuse,
            touched=world.touched, limits=world.usual_limits,
            lowered=world.lowered,
            blocks_scripted=_blocks(world), interruptions=sorted(world.interruptions),
            attempts_ended=world.attempts, calls_left=world.calls_left, processes=world.started + 1,
            logins=world.names["logins"],
            database_skew_s=world.ground.database_skew_s, also=_also(world.diary),
            forgotten=frozenset(Ref(CUSTOMERS, key) for key in world.diary.forgotten),
        )  # fmt: skip
        kept = [Violation(oracle, what) for oracle, what in keeping.judged(world)]
        return [*world.bugs, *await judge(scene), *kept]
    finally:
        await database.close()


def _also(diary: Diary) -> tuple[Promise, ...]:
    """The judges of what people did to the books, by what is known of them."""
    return (
        ("brake", lambda facts, _: promises.braked(diary, facts)),
        ("brake", lambda facts, _: promises.told_once(facts.audit)),
        ("absence", lambda facts, books: promises.absence(diary, facts, books)),
        ("links", lambda facts, books: promises.linked_right(diary, facts, books)),
        ("baseline", lambda facts, _: promises.baseline(diary, facts)),
    )


def simulate(
    arena: Arena,
    seed: int,
    *,
    hours: float = 4.0,
    workers: int = 2,
    profile: str = "all",
    watch: Callable[[float], None] = lambda _hours: None,
) -> Report:
    """Run one seed; `watch` is told the virtual hours so far. Raises ValueError for its profile."""
    logging.getLogger("psycopg").setLevel(logging.ERROR)  # it warns of what is broken on purpose
    gc.set_threshold(
        50_000, 20, 20
    )  # a tenth of the time otherwise: a run makes no litter to speak of

    async def main() -> Report:
        clock = VirtualClock(START + timedelta(hours=seed * 7 % 24))
        world = World(seed, arena, profile, clock)
        world.watch = watch
        try:
            await live(world, hours, workers)
            asked = {"seed": seed, "hours": hours, "workers": workers, "profile": profile}
            return _report(world, asked, await _judged(world))
        finally:
            world.close(arena)

    return run_virtually(main)


def _report(world: World, asked: Mapping[str, Any], violations: Iterable[Violation]) -> Report:
    ledger = world.sandbox.ledger
    lines = world.lines + [
        f"{r.arrived_s:12.4f} call {r.operation} {r.path} {r.status} {r.code} {r.fault or ''}"
        for r in ledger.requests
    ]
    for kind in MAPPED:
        lines += [f"{kind} {sorted(row.items())}" for row in ledger.records(kind)]
    statuses = world.overseer.rows(
        "select status, count(*)::int as n from zohosync.records group by status order by status"
    )
    struck = world.troubles.struck + Counter(r.fault for r in ledger.requests if r.fault)
    return Report(
        **asked, virtual_hours=round(world.quiet_at / 3600, 2),
        trace=hashlib.sha256("\n".join(lines).encode()).hexdigest(),
        violations=tuple(violations),
        records={row["status"]: row["n"] for row in statuses},
        calls=len(ledger.requests) - world.foreign_calls,
        faults=dict(sorted(struck.items())), acts=sum("act " in line for line in world.lines),
        lines=tuple(lines),
    )  # fmt: skip
