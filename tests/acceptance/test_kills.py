"""Workers that die, freeze, stop or lose their database: nothing lost, nothing double."""

import asyncio
import os
import signal
from asyncio.subprocess import Process
from pathlib import Path

import pytest

from acceptance.kit import ShiftedClock, Shop, pretend, shop
from zohosync.clock import Chance
from zohosync.sandbox import Fault, Faults

pytestmark = pytest.mark.acceptance
SHORT = "lease_s = 3\nheartbeat_s = 1\nsend_within_s = 1"
"""Leases that are soon over; a worker that is killed holds its records no longer than that."""


async def test_a_worker_that_is_killed_again_and_again_loses_and_doubles_nothing(
    database_url: str, tmp_path: Path
) -> None:
    chance = Chance(20261122)
    sandbox = pretend(ShiftedClock(), latency_s=(0.05, 0.25))
    async with shop(tmp_path, database_url, sandbox=sandbox, worker=SHORT) as here:
        await here.fill(100, 100, 50)
        for _ in range(5):
            worker = await here.start()
            made = len(sandbox.ledger.calls())
            await here.until_calls(made + chance.integer(8, 45))
            await asyncio.sleep(chance.random() * 0.2)
            worker.kill()
            await worker.wait()
        assert len(sandbox.ledger.calls()) < 100 + 200 + 50, "it was over before the last kill"
        worker = await here.start()
        await here.past_doubt()
        await here.assert_in_step(customers=100, invoices=100, payments=50)
        assert await here.stop(worker) == 0


HOLD = """
create table public.hold (worker text);
grant select on public.hold to public;
create function public.hold_commit() returns trigger language plpgsql as $$
  begin
    if exists (select from public.hold) then perform pg_sleep(1); end if;
    return null;
  end $$;
create constraint trigger hold_commit after insert on zohosync.api_calls
  deferrable initially deferred for each row
  when (new.intent is not null) execute function public.hold_commit();
"""


async def test_a_worker_frozen_before_it_could_send_sends_nothing_when_it_wakes(
    database_url: str, tmp_path: Path
) -> None:
    async with shop(tmp_path, database_url, worker=SHORT) as here:
        await here.execute(HOLD, "insert into public.hold values ('x')")
        frozen = await here.start()
        await here.alive(1)
        await here.fill(1)
        await here.until(
            "exists (select from pg_stat_activity where wait_event = 'PgSleep' "
            "and datname = current_database())",
            poll_s=0.01,
        )
        freeze(frozen)  # while its call is being admitted: it will have leave, and not know it
        await here.until("exists (select from zohosync.api_calls where intent is not null)")
        assert not posts(here)
        await taken_over(here, frozen)
        await here.assert_in_step(customers=1)
        assert len(posts(here)) == 1


async def test_a_worker_frozen_after_it_had_sent_settles_nothing_when_it_wakes(
    database_url: str, tmp_path: Path
) -> None:
    sandbox = pretend(ShiftedClock(), latency_s=(1.5, 1.5))
    async with shop(tmp_path, database_url, sandbox=sandbox, worker=SHORT) as here:
        frozen = await here.start()
        await here.alive(1)
        await here.fill(1)
        await here.until("exists (select from zohosync.api_calls where intent is not null)")
        await here.until_calls(1)
        freeze(frozen)
        await taken_over(here, frozen)
        await here.assert_in_step(customers=1)
        assert len(posts(here)) == 1


def freeze(worker: Process) -> None:
    os.kill(worker.pid, signal.SIGSTOP)


def posts(here: Shop) -> list[str]:
    """The creates that reached the sandbox."""
    return [call.operation for call in here.sandbox.ledger.calls("POST /customers")]


async def taken_over(here: Shop, frozen: Process) -> None:
    """Another worker finishes what the frozen one held; then that one wakes, and does nothing."""
    epoch = (await here.record("customers", 1))["lease_epoch"]
    await here.skip(10)  # past its lease
    await here.execute("create table if not exists public.hold ()", "delete from public.hold")
    other = await here.start()
    await here.until(f"exists (select from zohosync.records where lease_epoch > {epoch})")
    await here.past_doubt()
    await here.until("not exists (select from zohosync.records where status <> 'synced')")
    before, row = len(here.sandbox.ledger.requests), await here.record("customers", 1)
    await here.stop(other)
    os.kill(frozen.pid, signal.SIGCONT)
    log = here.folder / "worker-0.log"
    for _ in range(200):
        if "was lost" in log.read_text():
            break
        await asyncio.sleep(0.05)
    assert "the lease on customers 1 was lost" in log.read_text()
    assert await here.record("customers", 1) == row
    assert len(here.sandbox.ledger.requests) == before
    assert await here.stop(frozen) == 0


async def test_sigterm_under_load_ends_soon_and_leaves_nothing_open(
    database_url: str, tmp_path: Path
) -> None:
    sandbox = pretend(ShiftedClock(), latency_s=(0.05, 0.3))
    async with shop(tmp_path, database_url, sandbox=sandbox) as here:
        await here.fill(150)
        worker = await here.start()
        await here.until_calls(40)
        assert await here.count("status = 'syncing'") > 0
        assert await here.stop(worker, within_s=10) == 0
        made = len(sandbox.ledger.records("customers"))
        assert 0 < made < 150
        assert await here.count("lease_until is not null") == 0
        assert await here.count("status = 'uncertain'") == 0
        assert await here.count("status = 'synced' and kind = 'customers'") == made
        assert await here.value("select count(*) from zohosync.workers") == 0
        assert (
            await here.value("select count(*) from zohosync.api_calls where finished_at is null")
            == 0
        )
        await here.start("--until-idle")
        assert await here.workers[-1].wait() == 0
        await here.assert_in_step(customers=150)
        assert len(posts(here)) == 150


async def test_replies_lost_at_every_sort_of_write_are_found_again(
    database_url: str, tmp_path: Path
) -> None:
    writes = ("customers", "invoices", "invoices/{invoice_id}/converttoopen", "payments")
    script = [Fault("lost_reply", f"POST /{path}", nth=nth) for path in writes for nth in (2, 5)]
    sandbox = pretend(ShiftedClock(), faults=Faults(script))
    async with shop(tmp_path, database_url, sandbox=sandbox) as here:
        await here.fill(20, 20, 20)
        worker = await here.start("--until-idle")
        assert await worker.wait() == 0
        await here.assert_in_step(customers=20, invoices=20, payments=20)
        struck = [call.operation for call in sandbox.ledger.calls() if call.fault]
        assert sorted(struck) == sorted(fault.operation for fault in script)
        for path in writes:
            assert len(sandbox.ledger.calls(f"POST /{path}")) == 20, path
