"""A Postgres that dies at once under load, twice, and comes back: work goes on, all of it once."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from acceptance.kit import ShiftedClock, Shop, pretend, shop
from zohosync.errors import DatabaseError
from zohosync.store.postmaster import Home

pytestmark = pytest.mark.acceptance


@pytest.fixture
def folder() -> Iterator[Path]:
    """A place that the server's own account may enter, where root runs the tests."""
    with TemporaryDirectory(prefix="zohosync-away-") as name:
        Path(name).chmod(0o711)
        place = Path(name, "project")
        place.mkdir(mode=0o711)
        yield place


async def test_work_goes_on_after_postgres_died_at_once_under_load(folder: Path) -> None:
    sandbox = pretend(ShiftedClock(), latency_s=(0.05, 0.2))
    short = "lease_s = 3\nheartbeat_s = 1\nsend_within_s = 1"
    async with shop(folder, None, sandbox=sandbox, worker=short) as here:
        server = Home(folder / ".zohosync" / "postgres")
        await here.fill(80, 80, 40)
        worker = await here.start()
        for calls in (30, 140):
            await here.until_calls(calls)
            pid = server.postmaster_pid()
            assert pid is not None
            os.kill(pid, signal.SIGQUIT)  # what pg_ctl stop -m immediate sends
            await back(here)
        assert len(sandbox.ledger.calls()) < 80 + 160 + 40, "it was over before Postgres died"
        await here.past_doubt()
        await here.assert_in_step(customers=80, invoices=80, payments=40)
        assert worker.returncode is None, "the worker outlived its database"
        assert await here.stop(worker) == 0


async def back(here: Shop) -> None:
    """Return once the database was gone and answers again."""
    gone = False
    async with asyncio.timeout(30):
        while True:
            try:
                await here.value("select 1")
            except DatabaseError:
                gone = True
            else:
                if gone:
                    return
            await asyncio.sleep(0.02)
