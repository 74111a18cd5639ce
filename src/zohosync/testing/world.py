"""A small world for tests: a database, a sandbox, and the real engine between them."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from zohosync.bootstrap import House, open_service
from zohosync.clock import Chance, Clock, SystemClock
from zohosync.core.brake import Brake
from zohosync.core.governor import PLANS, Limits
from zohosync.core.options import Secret
from zohosync.core.sections import Organization, Work, Zoho
from zohosync.engine.gate import Gate
from zohosync.engine.service import Service
from zohosync.engine.worker import Worker
from zohosync.events import Event, Listener
from zohosync.sandbox import Sandbox
from zohosync.settings import KindSettings, Place, Settings
from zohosync.store.database import Database
from zohosync.store.journal import Journal
from zohosync.store.records import Records
from zohosync.store.source import Source
from zohosync.zoho.client import Remote
from zohosync.zoho.door import in_process

ZONE = "Africa/Johannesburg"
NOWHERE = "http://127.0.0.1:1"
"""The address of a sandbox that is spoken to in process: nothing listens there."""


_MEMORY = Path("/dev/shm")  # noqa: S108  where Linux keeps files in memory
_ROOM_BYTES = 4 << 30


def quick_folder() -> str | None:
    """Where a database that is thrown away is quick: in memory where there is room, else None.

    A new database is some hundreds of files; on a disk they are most of a short test's time.
    """
    try:
        free = shutil.disk_usage(_MEMORY).free
    except OSError:
        return None
    return str(_MEMORY) if free >= _ROOM_BYTES and os.access(_MEMORY, os.W_OK) else None


@dataclass(frozen=True, slots=True)
class World:
    """The parts that tests touch."""

    database: Database
    source: Source
    records: Records
    journal: Journal
    gate: Gate
    remote: Remote
    worker: Worker
    service: Service
    events: list[Event]


WORK = Work(
    slots=10,
    lease_s=6.0,
    heartbeat_s=2.0,
    poll_s=1.0,
    debounce_s=300.0,
    send_within_s=2.0,
    time_limit_s=30.0,
    max_retries=3,
    retry_base_s=5.0,
)
"""The defaults of the settings."""


@dataclass(frozen=True, slots=True)
class WorldSettings:
    """What a test may want otherwise; `pace` stretches the keeper's intervals.

    `when_gone` is by kind, in the words of the settings.
    """

    limits: Limits = PLANS["unlimited"]
    pace: float = 1.0
    work: Work = WORK
    when_gone: Mapping[str, str] = field(default_factory=dict)
    brake: Brake = field(default_factory=Brake)
    sweep_at: str = "02:30"

    def working(self, **otherwise: Any) -> "WorldSettings":
        """These settings with some of the worker's numbers changed (slots, lease_s …)."""
        return replace(self, work=replace(self.work, **otherwise))


@asynccontextmanager
async def world(
    database: Database,
    mapping: Mapping[str, str],
    sandbox: Sandbox,
    *,
    url: str | None = None,
    clock: Clock | None = None,
    chance: Chance | None = None,
    settings: WorldSettings | None = None,
    listeners: Sequence[Listener] = (),
) -> AsyncIterator[World]:
    """The engine between that database and that sandbox, ready to run.

    `mapping` is the SELECT of each kind; `url` is the sandbox's real socket, without one it is
    spoken to in process.
    """
    wanted = settings or WorldSettings()
    events: list[Event] = []

    def tell(event: Event) -> None:
        events.append(event)
        for listener in listeners:
            listener(event)

    with tempfile.TemporaryDirectory(prefix="zohosync-world-") as folder:
        project = _project(Path(folder), mapping, sandbox, url or NOWHERE, wanted)
        async with open_service(
            project,
            clock=clock or SystemClock(),
            chance=chance or Chance(),
            tell=tell,
            transport=None if url else in_process(sandbox.app),
            pace=wanted.pace,
            database=database,
        ) as house:
            yield _world(house, events)


def _world(house: House, events: list[Event]) -> World:
    project, service = house.project, house.service
    return World(
        database=project.database,
        source=project.source,
        records=project.records,
        journal=house.journal,
        gate=house.gate,
        remote=house.remote,
        worker=service.worker,
        service=service,
        events=events,
    )


def _project(
    folder: Path, mapping: Mapping[str, str], sandbox: Sandbox, url: str, wanted: WorldSettings
) -> Settings:
    kinds = {}
    for kind, text in mapping.items():
        file = folder / f"{kind}.sql"
        file.write_text(text, encoding="utf-8")
        kinds[kind] = KindSettings(file, when_gone=wanted.when_gone.get(kind))
    return Settings(
        project=folder,
        organization=Organization(sandbox.organization_id, "us", "sandbox", ZONE, "ZAR", None),
        zoho=Zoho(
            client_id=sandbox.client_id,
            client_secret=Secret(sandbox.client_secret),
            refresh_token=Secret(sandbox.refresh_token),
            secret_key=Secret(""),
            api_url=url,
            accounts_url=url,
        ),
        limits=wanted.limits,
        limits_plan="custom",
        worker=wanted.work,
        database=Place(Secret(""), folder),
        kinds=kinds,
        watches=(),
        origins=(),
        brake=wanted.brake,
        sweep_at=wanted.sweep_at,
    )
