"""What a worker does besides its work, and what the leading one does for all of them."""

import logging
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from zohosync.checkup import mend_counts, note_health
from zohosync.clock import Clock
from zohosync.core.causes import ALIVE_S
from zohosync.engine.alerts import (
    Alerts,
    Channels,
    Heartbeat,
    failure_words,
    manners_of,
    watched,
)
from zohosync.engine.catalog import Catalog
from zohosync.engine.keeper import Job, prune
from zohosync.engine.sentinel import AGAIN_EVERY_S, Sentinel
from zohosync.errors import DatabaseError, SettingsError
from zohosync.events import Listener, Noted
from zohosync.settings import FILE, Settings, load
from zohosync.store.alerts import AlertBook
from zohosync.store.database import Database
from zohosync.store.health import Vitals
from zohosync.store.metrics import Metrics
from zohosync.store.organizations import change_limits
from zohosync.store.upkeep import PRUNES, Forgetting, Upkeep
from zohosync.store.usage import Usage
from zohosync.zoho.beacon import fetch

PRUNE_EVERY_S = 3_600.0
"""How often what is too old is looked for."""

CACHE_EVERY_S = 3_600.0
"""How often is looked which of the kept lists run out, at the most."""

FIGURES_AT = "00:15"
"""When the day that is over is rolled up, by the organisation's clock."""

FORGET_EVERY_S = 600.0
"""How often records are looked for whose forgetting had to wait."""


def jobs_of(
    settings: Settings,
    database: Database,
    org_id: str,
    sentinel: Sentinel | None = None,
    *,
    clock: Clock,
    tell: Listener,
    catalog: Catalog | None = None,
    pace: float = 1.0,
) -> tuple[Job, ...]:
    """The upkeep that the leading worker does for all: a line for each.

    Without a `catalog` Zoho's kept lists are not refreshed; without a `sentinel` none is compared.
    """
    every, book = settings.upkeep, AlertBook(database, org_id)
    alerts = alerts_of(settings, database, org_id, clock=clock, tell=tell, pace=pace)
    upkeep, days = Upkeep(database, org_id, "upkeep"), keep_days_of(settings)
    figures = partial(Metrics(database, org_id).keep_up, figured_days_of(settings))
    jobs = [
        Job("metrics", every.metrics_every_s, figures, at=FIGURES_AT),
        Job("retention", PRUNE_EVERY_S, lambda: prune(upkeep, days, clock)),
        Job("forgetting", FORGET_EVERY_S, Forgetting(database, org_id).finish),
        Job("counts", every.health_every_s, lambda: mend_counts(database, org_id)),
        Job("health", every.health_every_s, lambda: note_health(settings, database, org_id)),
        Job("alerts", every.alerts_every_s, alerts.job),
    ]
    if catalog is not None:
        often_s = min(CACHE_EVERY_S, settings.caches.org_data_ttl_s / 20)  # before it runs out
        jobs.append(Job("cache", often_s, catalog.refresh))
    if sentinel is not None:
        jobs.append(Job("doubts", AGAIN_EVERY_S, sentinel.look_again))
    if beacon := settings.alerts.heartbeat_url:
        heart = Heartbeat(lambda: fetch(beacon, clock), book, tell)
        jobs.append(Job("heartbeat", settings.alerts.heartbeat_every_s, heart.beat))
    return tuple(replace(job, run=watched(book, job.name, job.run)) for job in jobs)


def alerts_of(
    settings: Settings,
    database: Database,
    org_id: str,
    *,
    clock: Clock,
    tell: Listener,
    pace: float = 1.0,
) -> Alerts:
    """What sees to the alerts of an organisation; raises nothing, whatever its channels are.

    `pace` stretches the workers' intervals, and so how soon one is taken for silent.
    """
    said = settings.alerts
    return Alerts(
        AlertBook(database, org_id, alive_s=ALIVE_S * pace),
        Channels.of(said.channels),
        worker=f"{socket.gethostname()}-{os.getpid()}",
        clock=clock,
        tell=tell,
        manners=manners_of(said.threshold, said.quiet_from, said.quiet_to),
    )


def keep_days_of(settings: Settings) -> dict[str, int]:
    """How many days each sort of rows is kept, by the names of PRUNES."""
    said = {name: getattr(settings.retention, f"{name}_days") for name in PRUNES}
    return {name: days or settings.database.keep_days for name, days in said.items()}


def figured_days_of(settings: Settings) -> int:
    """How many days back key figures can be reckoned: attempts and calls are both kept so long."""
    days = keep_days_of(settings)
    return min(days["logs"], days["journal"])


USAGE_EVERY_S = 10.0
"""How often the day's totals are kept, and whether it runs short is asked."""


def besides_of(
    settings: Settings,
    database: Database,
    org_id: str,
    *,
    clock: Clock,
    tell: Listener,
    pace: float = 1.0,
) -> Callable[[], Awaitable[None]]:
    """What the keeper does besides: changed limits, counts, the day's totals, alerts."""
    follow = _limits_follow(settings, database, org_id, tell)
    usage, vitals = Usage(database, org_id), Vitals(database, org_id)
    alerts = alerts_of(settings, database, org_id, clock=clock, tell=tell, pace=pace)
    due_at_s = clock.monotonic()

    async def look() -> None:
        nonlocal due_at_s
        await follow()
        await vitals.fold()
        if clock.monotonic() >= due_at_s:
            due_at_s = clock.monotonic() + USAGE_EVERY_S
            await usage.note()  # whose steps are an alert
        try:
            await alerts.round()
        except DatabaseError:
            raise
        except Exception as error:  # noqa: BLE001  who tells of trouble must not make more of it
            words = f"alerts: a bug: {failure_words(error)}; it is tried again by itself"
            tell(Noted(words, logging.WARNING))

    return look


def _limits_follow(
    settings: Settings, database: Database, org_id: str, tell: Listener
) -> Callable[[], Awaitable[None]]:
    """What makes limits that are changed in zohosync.toml hold without a restart."""
    file = settings.project / FILE
    seen = _changed_at(file)
    held = settings.limits

    async def look() -> None:
        nonlocal seen, held
        if (changed_at := _changed_at(file)) == seen:
            return
        try:
            limits = load(settings.project).limits
        except SettingsError as error:
            tell(Noted(f"the changed {FILE} is not used: {error}", logging.WARNING))
            seen = changed_at
            return
        if limits != held and await change_limits(database, org_id, limits):
            tell(Noted(f"the limits of {FILE} hold now"))
        seen, held = changed_at, limits

    return look


def _changed_at(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0
