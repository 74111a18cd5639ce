"""The demo's worker: a process of its own, on the demo's sped-up clock, that can be killed."""

import asyncio
import signal
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from zohosync import settings as settings_of
from zohosync.bootstrap import open_service
from zohosync.clock import Chance, ScaledClock
from zohosync.events import log
from zohosync.settings import Settings


def sped_up(settings: Settings, speed: float) -> Settings:
    """The settings with every time limit as long in real seconds as at normal speed, or nearly.

    A send deadline of 2 virtual seconds would be some milliseconds on a busy machine.
    """
    work = replace(
        settings.worker,
        lease_s=6.0 * speed,
        heartbeat_s=1.5 * speed,
        send_within_s=2.0 * speed,
        time_limit_s=3.0 * speed,
    )
    return replace(settings, worker=work)


async def work(project: Path, origin: datetime, speed: float) -> None:
    """Run a worker until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    settings = sped_up(settings_of.load(project), speed)
    clock = ScaledClock(origin=origin, speed=speed)
    async with open_service(
        settings, clock=clock, chance=Chance(), tell=log, pace=speed / 2
    ) as house:
        await house.service.run(stop)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the demo's own affair
    asyncio.run(work(Path(sys.argv[1]), datetime.fromisoformat(sys.argv[2]), float(sys.argv[3])))
