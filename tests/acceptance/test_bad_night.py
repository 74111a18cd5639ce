"""Bad nights: processes killed, frozen and stopped, and Postgres dying at once, all under load."""

import asyncio
import logging
import os
import signal
from asyncio.subprocess import Process
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from acceptance.kit import ShiftedClock, Shop, pretend, shop
from zohosync.clock import Chance, SystemClock
from zohosync.engine.service import STOP_WITHIN_S
from zohosync.errors import DatabaseError
from zohosync.sandbox import Fault, Faults, SandboxLimits
from zohosync.store.embedded import EmbeddedPostgres

pytestmark = pytest.mark.acceptance
log = logging.getLogger(__name__)

MINUTES = 0.2
"""How long the trouble of one seed goes on; make it longer by hand for a longer night."""

SEEDS = (20261123,)  # more of them take a minute each
CREW, PEOPLE_MAX = 3, 60
PER_MINUTE, IN_FLIGHT = 900, 12
LIMITS = f'plan = "custom"\nper_minute = {PER_MINUTE}\nin_flight = {IN_FLIGHT}\nper_day = 20000'
SHORT = "lease_s = 4\nheartbeat_s = 1\nsend_within_s = 2\ntime_limit_s = 8"
LOST = (
    Fault("lost_reply", "P*", rate=0.05),
    Fault("reset", "*", rate=0.01),
    Fault("truncated", "*", rate=0.01),
)


@dataclass(slots=True)
class Server:
    """A Postgres of the night's own, with fsync as in production, that can be taken away."""

    postgres: EmbeddedPostgres
    falls: int = 0
    away: bool = False

    async def fall(self, here: Shop, seconds: float) -> None:
        """Stop it as `pg_ctl stop -m immediate` does, start it again after that many seconds."""
        home = self.postgres.home
        reaper, server = int((home.root / "reaper.lock").read_text()), home.postmaster_pid()
        assert server is not None
        before = await here.value("select count(*) from zohosync.sync_logs")
        os.kill(reaper, signal.SIGSTOP)  # else it would start it again at once
        try:
            self.away, self.falls = True, self.falls + 1
            os.kill(server, signal.SIGQUIT)
            await asyncio.sleep(0.2 + seconds)
            assert home.postmaster_pid() is None
        finally:
            os.kill(reaper, signal.SIGCONT)
        async with asyncio.timeout(60):
            while True:
                with suppress(DatabaseError):
                    kept = await here.value("select count(*) from zohosync.sync_logs")
                    break
                await asyncio.sleep(0.05)
        self.away = False
        assert kept >= before, "what was committed is gone"


@pytest.fixture
def place() -> Any:
    """A place that the server's own account may enter, where root runs the tests."""
    with TemporaryDirectory(prefix="zohosync-night-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


@dataclass(slots=True)
class Business:
    """The application of the shop: it writes on, and repeats what a dying database cut off.

    All that it does may be done twice. `promised` is what it was told to be committed.
    """

    here: Shop
    chance: Chance
    people: int = 24
    bills: int = 36
    edits: int = 0
    promised: dict[tuple[str, int], Any] = field(default_factory=dict)

    async def open(self) -> None:
        """The first rows; every third bill is a draft."""
        await self.here.fill(self.people, self.bills)
        await self.commit(
            "update public.bills set amount = amount + 0.37, "
            "state = case when id % 3 = 0 then 'draft' else 'open' end",
            "insert into public.paid select n, n from generate_series(1, 36, 6) n",
        )

    async def run(self, over: asyncio.Event) -> None:
        """Work until it is over."""
        while not over.is_set():
            self.edits += 1
            await self.act(self.chance.integer(1, 100))
            await asyncio.sleep(self.chance.random() * 0.06)

    async def act(self, roll: int) -> None:
        n, person = self.edits, self.chance.integer(1, self.people)
        bill, amount = self.chance.integer(1, self.bills), Decimal(1000 + self.edits) / 100
        if roll <= 55:
            await self.commit("update public.people set phone = %(n)s::text where id = %(row)s",
                              n=n, row=person)  # fmt: skip
            self.promised["people", person] = str(n)
        elif roll <= 70:
            await self.commit("update public.bills set amount = %(amount)s "
                              "where id = %(row)s and state = 'draft'",
                              amount=amount, row=bill)  # fmt: skip
        elif roll <= 80:
            await self.commit("update public.bills set state = 'open' "
                              "where id = %(row)s and state = 'draft'", row=bill)  # fmt: skip
        elif roll <= 86:
            await self.commit(PAY, row=bill)
        elif roll <= 90:
            await self.commit("update public.bills b set state = 'void' where id = %(row)s and "
                              "state = 'open' and not exists (select from public.paid p "
                              "where p.bill = b.id)", row=bill)  # fmt: skip
        elif self.people < PEOPLE_MAX:
            self.people, self.bills = self.people + 1, self.bills + 1
            await self.commit(*NEWCOMER, row=self.people, bill=self.bills, amount=amount)
            self.promised["people", self.people] = None
            self.promised["bills", self.bills] = amount

    async def commit(self, *texts: str, **values: Any) -> None:
        """Have it committed, however often that takes."""
        while True:
            try:
                return await self.here.execute(*texts, **values)
            except DatabaseError:
                await asyncio.sleep(0.05)

    async def assert_kept(self) -> None:
        """Nothing that was committed was lost when Postgres died."""
        for table, column in (("people", "phone"), ("bills", "amount")):
            rows = await self.here.rows(f"select id, {column} as value from public.{table}")
            found = {(table, row["id"]): row["value"] for row in rows}
            wanted = {key: value for key, value in self.promised.items() if key[0] == table}
            changed = {key for key, value in wanted.items() if found.get(key) != value}
            assert not changed, f"committed, and gone: {changed}"


PAY = """
insert into public.paid select b.id, b.id from public.bills b
 where b.id = %(row)s and b.state = 'open' on conflict do nothing
"""
NEWCOMER = tuple(
    f"insert into public.{values} on conflict do nothing"
    for values in (
        "people values (%(row)s, 'Person ' || %(row)s, %(row)s || '@example.com')",
        "bills values (%(bill)s, %(row)s, %(amount)s, '2026-01-15')",
        "paid values (%(bill)s, %(bill)s)",
    )
)


@dataclass(slots=True)
class Night:
    """A crew of workers that is kept up, and what is done to it."""

    here: Shop
    server: Server
    chance: Chance
    crew: list[Process] = field(default_factory=list)
    known: set[int] = field(default_factory=set)
    stops_s: list[float] = field(default_factory=list)
    held: int = 0

    async def keep_up(self, over: asyncio.Event) -> None:
        """Start workers again as an init system does; none that worked may end by itself."""
        while not over.is_set():
            for worker in [each for each in self.crew if each.returncode is not None]:
                text = (self.here.folder / f"worker-{self.number(worker)}.log").read_text()
                assert worker.pid not in self.known, f"it fell by itself: {text[-2_000:]}"
                busy = (
                    "database" in text or "run it again" in text
                )  # it says so, and is started anew
                assert busy, f"it did not start: {text[-2_000:]}"
                self.crew.remove(worker)
            while len(self.crew) < CREW:
                self.crew.append(await self.here.start())
            with suppress(DatabaseError):
                rows = await self.here.rows("select pid from zohosync.workers")
                self.known |= {row["pid"] for row in rows}
            await asyncio.sleep(0.2)

    def number(self, worker: Process) -> int:
        return self.here.workers.index(worker)

    async def victim(self) -> Process:
        """Somebody who is in the middle of something; from now on he is not replaced."""
        async with asyncio.timeout(120):
            while True:
                with suppress(DatabaseError):
                    rows = await self.here.rows(HOLDERS)
                    busy = {row["pid"]: row["records"] for row in rows}
                    fit = [worker for worker in self.crew if worker.pid in busy]
                    if fit:
                        found = fit[self.chance.integer(0, len(fit) - 1)]
                        self.held += busy[found.pid]
                        self.crew.remove(found)
                        return found
                await asyncio.sleep(0.02)

    async def kill(self) -> None:
        """As kill -9 does, at any moment."""
        worker = await self.victim()
        await asyncio.sleep(self.chance.random() * 0.2)
        worker.kill()
        await worker.wait()

    async def freeze(self) -> None:
        """SIGSTOP for longer than its lease; what wakes up then is a zombie."""
        worker = await self.victim()
        os.kill(worker.pid, signal.SIGSTOP)
        self.crew.append(await self.here.start())  # somebody else works meanwhile
        await asyncio.sleep(7 + self.chance.random())
        os.kill(worker.pid, signal.SIGCONT)
        await asyncio.sleep(1 + self.chance.random())
        await self.stop(worker)

    async def terminate(self) -> None:
        """SIGTERM in the middle of its work."""
        await self.stop(await self.victim())

    async def stop(self, worker: Process) -> None:
        falls, away, began = self.server.falls, self.server.away, SystemClock().monotonic()
        code = await self.here.stop(worker, within_s=STOP_WITHIN_S)
        self.stops_s.append(SystemClock().monotonic() - began)
        if falls == self.server.falls and not away:
            assert code == 0, await self.here.story()

    async def fall(self) -> None:
        """Postgres dies at once, and is away for a while."""
        await self.server.fall(self.here, self.chance.random() * 2.0)

    async def run(self) -> None:
        """One trouble after the other, at moments and in an order of the seed's."""
        troubles = [self.kill, self.kill, self.kill, self.terminate, self.fall, self.fall]
        troubles = troubles * max(1, round(MINUTES / 0.2))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.freeze())
            while troubles:
                await asyncio.sleep(
                    (0.5 + self.chance.random()) * MINUTES * 60 / (len(troubles) + 6)
                )
                trouble = troubles.pop(self.chance.integer(0, len(troubles) - 1))
                log.warning("%s", trouble.__name__)
                await trouble()


HOLDERS = """
select w.pid, count(*) as records from zohosync.workers w
  join zohosync.records r on r.lease_worker = w.worker group by 1 order by 1
"""


@asynccontextmanager
async def night(place: Path, chance: Chance) -> AsyncIterator[Night]:
    """A shop on a Postgres of its own, its crew not yet at work."""
    sandbox = pretend(
        ShiftedClock(),
        limits=SandboxLimits(per_minute=PER_MINUTE, in_flight=IN_FLIGHT, per_day=20_000),
        latency_s=(0.05, 0.25),
        faults=Faults(LOST, chance),
    )
    with EmbeddedPostgres(place / "postgres") as postgres:
        async with shop(
            place / "project", postgres.url(), sandbox=sandbox, worker=SHORT, limits=LIMITS
        ) as here:
            yield Night(here, Server(postgres), chance)


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_bad_night_loses_and_doubles_nothing(place: Path, seed: int) -> None:
    chance = Chance(seed)
    log.warning("seed %s, MINUTES %s", seed, MINUTES)
    async with night(place, chance) as dark:
        here, ledger, over = dark.here, dark.here.sandbox.ledger, asyncio.Event()
        business = Business(here, Chance(seed + 1))
        await business.open()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(business.run(over))
            tasks.create_task(dark.keep_up(over))
            await here.until_calls(40, within_s=120)
            await dark.run()
            over.set()
        await morning(dark)
        await business.assert_kept()
        await here.assert_in_step(customers=business.people)
        await assert_money_exact(here)
        await assert_accounted(dark)
        assert dark.held > 0, "nobody was struck in the middle of anything"
        assert max(dark.stops_s) <= STOP_WITHIN_S
        assert {call.fault for call in ledger.calls()} >= {"lost_reply"}
        told = (place / "postgres" / "postgres.log").read_text(errors="replace")
        assert told.count("automatic recovery in progress") == dark.server.falls == 2


async def morning(dark: Night) -> None:
    """The trouble is over; what is left of the crew brings everything to its end, and stops."""
    here = dark.here
    here.sandbox.set_faults(Faults())
    await asyncio.sleep(1.0)
    if here.workers[-1].returncode is not None:  # it found the server in the middle of a restart
        dark.crew.append(await here.start())
    over = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(open_up(here, over))
        await here.quiet(within_s=180)
        for _ in range(3):
            await here.past_doubt()
            if not await here.count("intent_id is not null"):
                break
        over.set()
    for worker in [each for each in dark.crew if each.returncode is None]:
        await dark.stop(worker)


async def open_up(here: Shop, over: asyncio.Event) -> None:
    """Let pass at once what closes the organisation: enough failures in a row look like an outage.

    A worker that woke up too late to send counts as one, so a busy machine can make them.
    """
    while not over.is_set():
        closed = await here.rows(CLOSED)
        if closed:
            await here.skip(closed[0]["seconds"] + 1)
        await asyncio.sleep(0.5)


CLOSED = """
select extract(epoch from closed_until - zohosync.current_time())::float8 as seconds
  from zohosync.organizations where closed_until > zohosync.current_time()
   and not exists (select from zohosync.records where lease_until is not null)
"""


async def assert_money_exact(here: Shop) -> None:
    """Each payment is applied once, to its own invoice, to the cent."""
    rows = await here.rows(
        "select b.id, b.amount, b.state, p.id is not null as paid "
        "from public.bills b left join public.paid p on p.bill = b.id"
    )
    invoices = {row["invoice_number"]: row for row in here.sandbox.ledger.records("invoices")}
    for row in rows:
        there = invoices.get(f"B-{row['id']}")
        if there is None:
            assert row["state"] == "void", row
            continue
        made = row["amount"] if row["paid"] else Decimal(0)
        assert (there["total"], there["payment_made"]) == (row["amount"], made), row
        assert len(there["payments"]) == int(row["paid"]), row
    received = sum(row["amount"] for row in here.sandbox.ledger.records("payments"))
    assert received == sum(row["amount"] for row in rows if row["paid"])


async def assert_accounted(dark: Night) -> None:
    """No lease is left, no limit was crossed, and no call left that was not on disk before."""
    here, ledger = dark.here, dark.here.sandbox.ledger
    assert await here.count("lease_until is not null or lease_worker is not null") == 0
    assert (ledger.rate_limit_hits, ledger.blocks) == (0, 0)
    assert ledger.largest_in_flight <= IN_FLIGHT
    assert ledger.largest_window() <= PER_MINUTE
    assert ledger.token_mints <= 10
    journal = Counter(
        (row["method"], row["path"])
        for row in await here.rows(
            "select method, path from zohosync.api_calls "
            "where door = 'api' and sent is distinct from false"
        )
    )
    seen = Counter((call.method, call.path) for call in ledger.calls())
    assert not seen - journal, "calls that no journal row tells of"
