"""A small world for tests: a database, a sandbox, and the real engine between them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from zohosync.clock import Chance, Clock, SystemClock
from zohosync.core.governor import PLANS, Limits
from zohosync.core.kinds import MAPPED
from zohosync.engine.gate import Gate
from zohosync.engine.keeper import Keeper
from zohosync.engine.service import Service
from zohosync.engine.worker import Worker, WorkerSettings
from zohosync.events import Event, Listener
from zohosync.sandbox import Sandbox
from zohosync.store.database import Database
from zohosync.store.journal import Journal
from zohosync.store.organizations import Presence, register_installation, register_organization
from zohosync.store.records import Records
from zohosync.store.source import Source
from zohosync.store.tokens import TokenCache
from zohosync.zoho.client import Remote
from zohosync.zoho.door import in_process
from zohosync.zoho.tokens import Credentials, Secret, Tokens


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


@dataclass(frozen=True, slots=True)
class WorldSettings:
    """What a test may want otherwise."""

    name: str = "w1"
    limits: Limits = field(default_factory=lambda: PLANS["unlimited"])
    time_limit_s: float = 30.0
    send_within_s: float = 2.0
    debounce_s: float = 300.0
    pace: float = 1.0
    worker: WorkerSettings = field(default_factory=WorkerSettings)


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

    `url` is the sandbox's real socket; without one it is spoken to in process.
    """
    clock, chance = clock or SystemClock(), chance or Chance(1)
    settings = settings or WorldSettings()
    events: list[Event] = []

    def tell(event: Event) -> None:
        events.append(event)
        for listener in listeners:
            listener(event)

    org_id, name = sandbox.organization_id, settings.name
    installation = await register_installation(database, "test0001")
    await register_organization(
        database,
        org_id=org_id,
        data_center="us",
        mode="sandbox",
        time_zone="Africa/Johannesburg",
        currency="ZAR",
        limits=settings.limits,
        kinds=MAPPED,
    )
    credentials = Credentials(
        "us", sandbox.client_id, Secret(sandbox.client_secret), Secret(sandbox.refresh_token)
    )
    source = await Source.open(
        database,
        mapping,
        installation=installation,
        marker_field=None,
        time_zone="Africa/Johannesburg",
    )
    records = Records(
        database,
        org_id=org_id,
        worker=name,
        lease_s=settings.worker.lease_s,
        debounce_s=settings.debounce_s,
    )
    journal = Journal(
        database,
        org_id=org_id,
        worker=name,
        time_limit_s=settings.time_limit_s,
        mint_key=credentials.token_key(),
    )
    gate = Gate(
        journal,
        clock=clock,
        limits=settings.limits,
        time_limit_s=settings.time_limit_s,
        send_within_s=settings.send_within_s,
        tell=tell,
    )
    transport = None if url else in_process(sandbox.app)
    address = url or "http://sandbox.test"
    tokens = Tokens(
        credentials,
        cache=TokenCache(database),
        gate=gate,
        clock=clock,
        owner=name,
        accounts_url=address,
        transport=transport,
    )
    remote = Remote(
        gate=gate,
        tokens=tokens,
        clock=clock,
        organization_id=org_id,
        api_url=address,
        transport=transport,
        time_limit_s=settings.time_limit_s,
    )
    policy = replace(settings.worker.policy, installation=installation)
    worker = Worker(
        records=records,
        source=source,
        remote=remote,
        gate=gate,
        clock=clock,
        chance=chance,
        settings=replace(settings.worker, policy=policy),
        tell=tell,
    )
    presence = Presence(database, worker=name, org_id=org_id, host="test", pid=0, version="0")
    keeper = Keeper(
        records=records,
        presence=presence,
        remote=remote,
        clock=clock,
        tell=tell,
        pace=settings.pace,
    )
    service = Service(gate, worker, keeper, presence, records, clock)
    try:
        yield World(database, source, records, journal, gate, remote, worker, service, events)
    finally:
        await remote.aclose()
        await tokens.aclose()
