"""How soon others have what a dead process held, and how soon a process has stopped.

There is no leader whose office somebody would have to take over: every process makes the same
rounds. So what is shown of leadership is that any process that is left does the rescue, and the
probing, that a dead one did.
"""

import asyncio
import os
import signal
from asyncio.subprocess import Process
from pathlib import Path

import pytest

from acceptance.kit import ShiftedClock, Shop, pretend, shop
from zohosync.engine.service import STOP_WITHIN_S
from zohosync.sandbox import Fault, Faults

pytestmark = pytest.mark.acceptance
TAKEN_OVER_S = 10.0
"""What is promised: that soon after a kill, others have what the dead worker held."""

TURNS = """
create table public.turns (
  kind text, key text, epoch bigint, worker text, status text, at timestamptz);
grant insert on public.turns to public;
create function public.note_turn() returns trigger language plpgsql as $$
  begin
    insert into public.turns values (
      new.kind, new.key, new.lease_epoch, new.lease_worker, new.status, zohosync.current_time());
    return null;
  end $$;
create trigger note_turn after update on zohosync.records for each row
  when (old.lease_epoch <> new.lease_epoch) execute function public.note_turn();
"""


async def test_a_kill_is_taken_over_and_a_stop_is_over_in_the_time_that_is_promised(
    database_url: str, tmp_path: Path
) -> None:
    """One stops while its call hangs for the full 30 s, one is killed, and one is left."""
    late = Fault("late_commit", "POST /customers", nth=1, times=3, seconds=120.0, drop=False)
    sandbox = pretend(ShiftedClock(), faults=Faults([late]))
    narrow = 'plan = "custom"\nper_minute = 1000\nin_flight = 3\nper_day = 5000'
    async with shop(tmp_path, database_url, sandbox=sandbox, limits=narrow) as here:
        await here.execute(TURNS)
        stopped, killed, left = [await here.start() for _ in range(3)]
        await here.alive(3)
        for worker in (killed, left):  # so that they take nothing before it is their turn
            os.kill(worker.pid, signal.SIGSTOP)
        await here.fill(1)
        await here.until("exists (select from zohosync.records where intent_id is not null)")
        async with asyncio.TaskGroup() as tasks:
            stopping = tasks.create_task(here.stop(stopped, within_s=STOP_WITHIN_S))
            taking = tasks.create_task(taken_over_in_time(here, killed, left))
        assert stopping.result() == 0
        await here.quiet()
        absent = "select count(distinct key) from zohosync.sync_logs where result = 'absent'"
        assert await here.value(absent) >= taking.result(), "no look-up before the window was over"
        await here.past_doubt()
        await here.assert_in_step(customers=8)
        assert len(sandbox.ledger.calls("POST /customers")) == 8, "a second create"


async def taken_over_in_time(here: Shop, killed: Process, left: Process) -> int:
    """Kill one that holds records, some of them with an open intent; see when another has them.

    Returns how many of them had one.
    """
    os.kill(killed.pid, signal.SIGCONT)
    await here.execute(
        "insert into public.people "
        "select n, 'Person ' || n, n || '@example.com' from generate_series(2, 8) n"
    )
    await here.until(
        "count(lease_until) = 8 and count(intent_id) = 3 from zohosync.records", poll_s=0.01
    )
    await here.until_calls(3)
    os.kill(left.pid, signal.SIGCONT)
    at = await here.value("select zohosync.current_time()")
    killed.kill()
    await killed.wait()
    held = await here.rows(
        "select r.key, r.lease_epoch, r.intent_id from zohosync.records r "
        "join zohosync.workers w on w.worker = r.lease_worker and w.pid = %(pid)s",
        pid=killed.pid,
    )
    doubtful = [row for row in held if row["intent_id"] is not None]
    assert 0 < len(doubtful) < len(held)
    for row in held:  # given back is the next epoch, claimed anew the one after that
        word = "uncertain" if row in doubtful else "syncing"
        turn = (
            f"select min(at) from public.turns where key = '{row['key']}' and "
            f"epoch > {row['lease_epoch']} and status = '{word}'"
        )
        await here.until(f"({turn}) is not null")
        took = await here.value(turn) - at
        assert took.total_seconds() <= TAKEN_OVER_S, f"{row} was taken over after {took}"
    return len(doubtful)


async def test_any_process_goes_on_asking_whether_zoho_is_up_again(
    database_url: str, tmp_path: Path
) -> None:
    outage = Fault("error_before_commit", "P*", nth=1, times=10_000, status=503)
    hangs = Fault("slow", "GET /organizations", nth=1, times=20, seconds=60.0)
    sandbox = pretend(ShiftedClock(), faults=Faults([outage, hangs]))
    async with shop(tmp_path, database_url, sandbox=sandbox, worker="time_limit_s = 5") as here:
        await here.fill(12)
        for _ in range(2):
            await here.start()
        await here.alive(2)
        async with asyncio.timeout(120):
            while not await here.rows(PROBING):
                if await here.rows(CLOSED):  # again, when a call that was under way fails late
                    await here.skip(31)
                await asyncio.sleep(0.2)
        pid = await here.value(PROBING)
        probing = next(worker for worker in here.workers if worker.pid == pid)
        probing.kill()
        await probing.wait()
        sandbox.set_faults(Faults())
        await here.skip(310)
        await here.until("(select overloads = 0 from zohosync.organizations)")
        await here.past_doubt()
        await here.assert_in_step(customers=12)


CLOSED = """
select from zohosync.organizations
 where overloads >= 5 and closed_until > zohosync.current_time()
"""
PROBING = """
select w.pid from zohosync.api_calls c join zohosync.workers w using (worker)
 where c.path = '/organizations' and c.finished_at is null
"""
