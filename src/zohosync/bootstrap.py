"""The one composition root: from settings to a database, a project that can be read, a service."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from zohosync.clock import Chance, Clock
from zohosync.core.checks import Fault, column_faults, organization_fault
from zohosync.core.kinds import KINDS, MAPPED
from zohosync.engine.gate import Gate
from zohosync.engine.keeper import Keeper
from zohosync.engine.passes import Rehearser
from zohosync.engine.service import Service
from zohosync.engine.worker import Worker
from zohosync.errors import MappingError, SchemaError, SettingsError, ZohosyncError
from zohosync.events import Listener
from zohosync.jobs import besides_of, jobs_of
from zohosync.settings import Settings
from zohosync.store.brakes import Brakes
from zohosync.store.comparisons import Comparisons
from zohosync.store.database import Database
from zohosync.store.embedded import EmbeddedPostgres
from zohosync.store.history import History
from zohosync.store.journal import Journal
from zohosync.store.migrate import verify
from zohosync.store.organizations import (
    Presence,
    Registered,
    installation_name,
    register_installation,
    register_organization,
)
from zohosync.store.records import Records
from zohosync.store.source import Source, described
from zohosync.store.sweeps import Sweeps
from zohosync.store.tokens import TokenCache
from zohosync.store.upkeep import Upkeep
from zohosync.store.writeback import WriteBack
from zohosync.wiring import (
    catalog_of,
    credentials_of,
    policy_of,
    secret_of,
    sentinel_of,
    sweeper_of,
    texts_of,
    worker_settings_of,
    write_back_of,
)
from zohosync.zoho import tokens as oauth
from zohosync.zoho.client import Remote


@dataclass(frozen=True, slots=True)
class Project:
    """A project whose database is open and knows it: enough to read, mark and plan."""

    settings: Settings
    database: Database
    org_id: str
    installation: str
    organization: Registered
    records: Records
    source: Source
    worker: str


@dataclass(frozen=True, slots=True)
class House:
    """A project with the remote and the loops: all that a working process consists of."""

    project: Project
    journal: Journal
    gate: Gate
    remote: Remote
    service: Service


@contextlib.asynccontextmanager
async def open_database(
    settings: Settings, *, check_schema: bool = True
) -> AsyncIterator[Database]:
    """The project's database: the one of the URL, else our own Postgres, up while this is open.

    Raises SettingsError, DatabaseError (no way in), SchemaError (out of date; not asked with
    `check_schema` False).
    """
    with contextlib.ExitStack() as stack:
        if settings.embedded:
            postgres = EmbeddedPostgres(settings.database.directory)
            url = await asyncio.to_thread(postgres.open)
            stack.callback(postgres.close)
        else:
            url = settings.database.url.reveal()
        database = await Database.open(url)
        try:
            if check_schema:
                await verify(database)
            yield database
        finally:
            await database.close()


async def register(
    settings: Settings, database: Database, chance: Chance, *, confirmed: bool = False
) -> tuple[str, Registered]:
    """Make installation and organisation known; returns the installation's name and the latter.

    A real organisation takes over from another one only when Zoho has `confirmed` it. Raises
    SettingsError (none named, or registered in another mode), SchemaError (a copied database).
    """
    installation = await register_installation(database, installation_name(chance))
    organization = await register_organization(
        database,
        org_id=organization_id(settings),
        data_center=settings.organization.data_center,
        mode=settings.mode,
        time_zone=settings.organization.time_zone,
        currency=settings.organization.currency,
        limits=settings.limits,
        kinds=MAPPED,
        sure=confirmed or settings.mode == "sandbox",
    )
    return installation, organization


def organization_id(settings: Settings) -> str:
    """The organisation that the settings name. Raises SettingsError when they name none."""
    if settings.organization.id is None:
        raise SettingsError(
            "No Zoho organisation is named",
            place="[organization] id in zohosync.toml",
            next_step="run `zohosync login`, or set ZOHOSYNC_ORGANIZATION_ID",
        )
    return settings.organization.id


@contextlib.asynccontextmanager
async def open_project(
    settings: Settings, *, chance: Chance, kinds: tuple[str, ...] | None = None
) -> AsyncIterator[Project]:
    """The project with its database and the mappings of `kinds` (all that are mapped when None).

    Spends no call. Raises what `open_database` and `register` raise, and MappingError.
    """
    async with open_database(settings) as database:
        yield await _project(settings, database, chance, kinds)


async def _project(
    settings: Settings, database: Database, chance: Chance, kinds: tuple[str, ...] | None
) -> Project:
    installation, organization = await register(settings, database, chance)
    worker = chance.token(f"{socket.gethostname()}-{os.getpid()}")
    source = await Source.open(
        database,
        texts_of(settings, kinds),
        installation=installation,
        marker_field=settings.organization.marker_field,
        time_zone=settings.organization.time_zone,
    )
    org_id = organization.org_id
    records = _records(settings, database, org_id, worker, source.fingerprints)
    return Project(settings, database, org_id, installation, organization, records, source, worker)


def _records(
    settings: Settings,
    database: Database,
    org_id: str,
    worker: str,
    mappings: Mapping[str, str] | None = None,
) -> Records:
    return Records(
        database,
        org_id=org_id,
        worker=worker,
        lease_s=settings.worker.lease_s,
        debounce_s=settings.worker.debounce_s,
        mappings=mappings,
    )


@dataclass(frozen=True, slots=True)
class Trial:
    """A project that is looked at before it is trusted: `faults` are of mappings left out."""

    database: Database
    source: Source
    rehearser: Rehearser
    faults: list[Fault]
    migrated: bool


@contextlib.asynccontextmanager
async def open_trial(settings: Settings, *, chance: Chance) -> AsyncIterator[Trial]:
    """The database and those mappings that it accepts; neither schema nor organisation is needed.

    Raises SettingsError, DatabaseError. Spends no call.
    """
    async with open_database(settings, check_schema=False) as database:
        migrated, installation = True, "new"
        records = history = None
        try:
            await verify(database)
        except SchemaError:
            migrated = False
        if migrated and settings.organization.id is not None:
            installation, organization = await register(settings, database, chance)
            records = _records(settings, database, organization.org_id, "check")
            history = History(database, organization.org_id)
        mappings, faults = {}, []
        for kind, text in texts_of(settings).items():
            try:
                mapped = await described(database, kind, text)
            except MappingError as error:
                faults.append(Fault(kind, None, error.what, next_step=error.next_step))
                continue
            mappings[kind] = mapped
            faults += column_faults(KINDS[kind], mapped.columns, settings.kinds)
        source = Source(
            database,
            mappings,
            installation=installation,
            marker_field=settings.organization.marker_field,
            time_zone=settings.organization.time_zone,
        )
        policy = policy_of(settings, installation)
        rehearser = Rehearser(source, policy, records=records, history=history)
        yield Trial(database, source, rehearser, faults, migrated)


@contextlib.asynccontextmanager
async def open_service(
    settings: Settings,
    *,
    clock: Clock,
    chance: Chance,
    tell: Listener,
    transport: Any = None,
    pace: float = 1.0,
    database: Database | None = None,
) -> AsyncIterator[House]:
    """Everything a working process needs, built and, for a real organisation, seen to be it.

    `transport` is an HTTPX transport, None the network; `pace` stretches the keeper's intervals;
    `database` is one that is open already (and stays so), None the settings' own. Spends one call
    where the organisation is a real one. Raises what `open_project` raises, SettingsError (no
    credentials, another organisation or mode), RemoteError.
    """
    credentials = credentials_of(settings)
    async with contextlib.AsyncExitStack() as stack:
        if database is None:
            database = await stack.enter_async_context(open_database(settings))
        project = await _project(settings, database, chance, None)
        journal, gate = _journal_and_gate(project, credentials.token_key(), clock, tell)
        tokens = oauth.Tokens(
            credentials,
            cache=TokenCache(database),
            gate=gate,
            clock=clock,
            owner=project.worker,
            accounts_url=settings.zoho.accounts_url,
            secret_key=secret_of(settings.zoho.secret_key) if settings.zoho.secret_key else None,
            transport=transport,
            ttl_s=settings.caches.token_ttl_s,
        )
        stack.push_async_callback(tokens.aclose)
        remote = Remote(
            gate=gate,
            tokens=tokens,
            clock=clock,
            organization_id=project.org_id,
            api_url=settings.zoho.api_url,
            transport=transport,
            time_limit_s=settings.worker.time_limit_s,
        )
        stack.push_async_callback(remote.aclose)
        columns = write_back_of(settings)
        writeback = None
        if columns:
            writeback = await WriteBack.open(database, columns, org_id=project.org_id)
        await sweeps_of(project).note_mappings()
        service = _service(
            project, gate, remote, writeback, clock=clock, chance=chance, tell=tell, pace=pace
        )
        house = House(project, journal, gate, remote, service)
        if settings.mode != "sandbox":
            await _see_that_it_is_it(house)
            await register(settings, database, chance, confirmed=True)
        yield house


async def confirm(settings: Settings, *, clock: Clock, chance: Chance) -> None:
    """Let Zoho confirm the organisation, which is the active one from then on; one call.

    Raises what `open_service` raises.
    """
    async with open_service(settings, clock=clock, chance=chance, tell=lambda _: None):
        pass


def _journal_and_gate(
    project: Project, mint_key: str, clock: Clock, tell: Listener
) -> tuple[Journal, Gate]:
    settings = project.settings
    journal = Journal(
        project.database,
        org_id=project.org_id,
        worker=project.worker,
        time_limit_s=settings.worker.time_limit_s,
        mint_key=mint_key,
        brake=settings.brake,
    )
    gate = Gate(
        journal,
        clock=clock,
        limits=settings.limits,
        time_limit_s=settings.worker.time_limit_s,
        send_within_s=settings.worker.send_within_s,
        tell=tell,
    )
    return journal, gate


def _service(
    project: Project,
    gate: Gate,
    remote: Remote,
    writeback: WriteBack | None,
    *,
    clock: Clock,
    chance: Chance,
    tell: Listener,
    pace: float,
) -> Service:
    settings, database, org_id = project.settings, project.database, project.org_id
    presence = Presence(
        database, worker=project.worker, org_id=org_id, host=socket.gethostname(),
        pid=os.getpid(), version=version("zohosync"),
    )  # fmt: skip
    catalog = catalog_of(settings, database, org_id, remote, tell)
    worker = Worker(
        records=project.records,
        source=project.source,
        remote=catalog,
        gate=gate,
        clock=clock,
        chance=chance,
        settings=worker_settings_of(settings, project.installation),
        tell=tell,
        writeback=writeback,
    )
    comparisons = Comparisons(database, org_id, project.worker)
    sentinel = sentinel_of(settings, project.source, remote, comparisons, clock=clock, tell=tell)
    sweeper = sweeper_of(
        settings, sweeps_of(project), Brakes(database, org_id), sentinel, clock=clock, tell=tell,
        wake=worker.wake, policy=policy_of(settings, project.installation), pace=pace,
    )  # fmt: skip
    besides = besides_of(settings, database, org_id, clock=clock, tell=tell, pace=pace)
    jobs = jobs_of(
        settings, database, org_id, sentinel, clock=clock, tell=tell, catalog=catalog, pace=pace
    )
    keeper = Keeper(
        records=project.records, presence=presence, remote=remote, clock=clock, tell=tell,
        wake=worker.wake, sweep=sweeper.run, besides=besides, jobs=jobs,
        upkeep=Upkeep(database, org_id, project.worker), pace=pace,
    )  # fmt: skip
    return Service(gate, worker, keeper, presence, project.records, clock)


def sweeps_of(project: Project) -> Sweeps:
    """The sweeps of a project's organisation, with the mappings that it has here."""
    return Sweeps(project.database, project.source, org_id=project.org_id, worker=project.worker)


async def _see_that_it_is_it(house: House) -> None:
    """Ask Zoho which organisations the credentials open; SettingsError when ours is not there."""
    found: list[dict[str, Any]] = []
    failed: ZohosyncError | None = None
    async with asyncio.TaskGroup() as tasks:
        gate = tasks.create_task(house.gate.run())
        try:
            found = await house.remote.organizations()
        except ZohosyncError as error:  # raised outside, where no group wraps it
            failed = error
        finally:
            gate.cancel()
    if failed is not None:
        raise failed
    settings = house.project.settings
    wrong = organization_fault(found, house.project.org_id, settings.organization.mode)
    if wrong is not None:
        what, place, step = wrong
        raise SettingsError(what, place=place, next_step=step)
