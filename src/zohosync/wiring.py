"""What the settings mean for each room: credentials, policy, mapping texts, watches, write-back."""

import gc
import logging
from collections.abc import Callable
from dataclasses import asdict, replace

from zohosync.clock import Clock
from zohosync.core.kinds import KINDS
from zohosync.core.options import Secret
from zohosync.core.plan import Policy
from zohosync.engine.catalog import Catalog
from zohosync.engine.comparing import Comparer
from zohosync.engine.sentinel import Sentinel
from zohosync.engine.sweep import Sweeper, SweepSettings
from zohosync.engine.worker import WorkerSettings
from zohosync.errors import MappingError, SettingsError
from zohosync.events import Listener, Noted
from zohosync.settings import Settings
from zohosync.store.brakes import Brakes
from zohosync.store.capture import Watch
from zohosync.store.catalog import OrgData
from zohosync.store.comparisons import Comparisons
from zohosync.store.database import Database
from zohosync.store.source import Source
from zohosync.store.sweeps import Sweeps
from zohosync.store.writeback import WriteBackColumns
from zohosync.zoho import tokens as oauth
from zohosync.zoho.client import Remote


def credentials_of(settings: Settings) -> oauth.Credentials:
    """What a token refresh needs. Raises SettingsError that names what is missing."""
    zoho = settings.zoho
    missing = [
        variable
        for variable, value in (
            ("ZOHOSYNC_CLIENT_ID", zoho.client_id),
            ("ZOHOSYNC_CLIENT_SECRET", zoho.client_secret),
            ("ZOHOSYNC_REFRESH_TOKEN", zoho.refresh_token),
        )
        if not value
    ]
    if missing:
        raise SettingsError(
            f"Zoho's credentials are not complete: {', '.join(missing)} not set",
            place=str(settings.project),
            next_step="run `zohosync login`, or set them in the environment",
        )
    return oauth.Credentials(
        settings.organization.data_center,
        zoho.client_id or "",
        secret_of(zoho.client_secret),
        secret_of(zoho.refresh_token),
    )


def secret_of(secret: Secret) -> oauth.Secret:
    """A secret of the settings as the remote takes it."""
    return oauth.Secret(secret.reveal())


def policy_of(settings: Settings, installation: str) -> Policy:
    """The settings that decisions need."""
    return Policy(
        installation=installation,
        live=settings.mode == "live",
        max_retries=settings.worker.max_retries,
        retry_base_s=settings.worker.retry_base_s,
        when_gone={
            kind: KINDS[kind].states.when_gone[said.when_gone]
            for kind, said in settings.kinds.items()
            if said.when_gone
        },
        misses_ttl_s=settings.caches.misses_ttl_s,
    )


def texts_of(settings: Settings, kinds: tuple[str, ...] | None = None) -> dict[str, str]:
    """The SELECT of each mapped kind. Raises MappingError for a file that cannot be read."""
    texts = {}
    for kind, said in settings.kinds.items():
        if kinds is not None and kind not in kinds:
            continue
        try:
            texts[kind] = said.mapping.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise MappingError(f"It cannot be read: {error}", place=str(said.mapping)) from None
    return texts


def watches_of(settings: Settings) -> list[Watch]:
    """The watches of the project, each with the priority that its kind has unless it says one."""
    named = [Watch(**asdict(watch)) for watch in settings.watches if watch.kind in settings.kinds]
    return [
        replace(watch, priority=settings.kinds[watch.kind].priority)
        if watch.priority is None
        else watch
        for watch in named
    ]


def write_back_of(settings: Settings) -> dict[str, WriteBackColumns]:
    """The columns of the user's tables that are written after a settlement, by kind."""
    return {
        kind: WriteBackColumns(**said.write_back)
        for kind, said in settings.kinds.items()
        if said.write_back
    }


def worker_settings_of(settings: Settings, installation: str) -> WorkerSettings:
    """How a worker of this project works."""
    return WorkerSettings(
        slots=settings.worker.slots,
        lease_s=settings.worker.lease_s,
        heartbeat_s=settings.worker.heartbeat_s,
        poll_s=settings.worker.poll_s,
        policy=policy_of(settings, installation),
        marker_field=settings.organization.marker_field,
        redact=settings.retention.redact,
    )


def sentinel_of(
    settings: Settings,
    source: Source,
    remote: Remote,
    comparisons: Comparisons,
    *,
    clock: Clock,
    tell: Listener,
) -> Sentinel | None:
    """Who compares without being asked; None where nobody is to."""
    if settings.sweep_compare != "nightly":
        return None
    comparer = Comparer(
        remote=remote, source=source, comparisons=comparisons, clock=clock,
        live=settings.mode == "live",
        waits=lambda words: tell(Noted(f"comparing: {words}", logging.WARNING)),
    )  # fmt: skip
    return Sentinel(
        comparer=comparer, comparisons=comparisons, source=source, clock=clock, tell=tell,
        per_day=settings.limits.per_day,
    )  # fmt: skip


def sweeper_of(
    settings: Settings,
    sweeps: Sweeps,
    brakes: Brakes,
    sentinel: Sentinel | None,
    *,
    clock: Clock,
    tell: Listener,
    wake: Callable[[], None],
    policy: Policy,
    pace: float,
) -> Sweeper:
    """What sweeps by night and after a mapping edit; the sentinel looks after it."""
    return Sweeper(
        sweeps=sweeps,
        brakes=brakes,
        clock=clock,
        tell=tell,
        wake=wake,
        settings=SweepSettings(settings.sweep_at, policy, settings.brake),
        pace=pace,
        afterwards=sentinel.look if sentinel else None,
    )


def catalog_of(
    settings: Settings, database: Database, org_id: str, remote: Remote, tell: Listener
) -> Catalog:
    """The remote behind the kept lists of the organisation."""
    return Catalog(remote, OrgData(database, org_id), settings.caches, tell)


def settle_memory() -> None:
    """What stands by now stays until the process ends: the garbage collector looks at it no more.

    For a process of our own only. Statements and calls leave next to nothing that only the
    collector could free, and by default it spends a seventh of a busy worker's time looking.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
