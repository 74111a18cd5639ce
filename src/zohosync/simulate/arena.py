"""The database server of simulations: one template, and a fresh database for each run."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from zoneinfo import ZoneInfo

from zohosync.clock import SystemClock
from zohosync.core.brake import Brake
from zohosync.core.governor import Limits
from zohosync.core.options import Secret
from zohosync.core.sections import Organization, Work, Zoho
from zohosync.sandbox import Sandbox
from zohosync.settings import KindSettings, Place, Settings
from zohosync.simulate.company import SCHEMA, WATCHES
from zohosync.store.capture import install_watches
from zohosync.store.database import Database
from zohosync.store.embedded import EmbeddedPostgres
from zohosync.store.migrate import migrate
from zohosync.store.tapped import Overseer
from zohosync.testing.virtual import CURRENT_TIME

TEMPLATE = "zohosync_simulation"
ROLE = "zohosync_worker"
"""What the workers log in as: no superuser, since row-level security does not hold for those.

Our own tables are theirs, as they are the service role's: a sweep reads them with it off."""

# What makes the same seed end in the same rows: no upkeep in the background, one plan each.
_SERVER = """
alter system set autovacuum = off; alter system set jit = off;
alter system set plan_cache_mode = force_generic_plan;
alter system set max_parallel_workers_per_gather = 0;
alter system set synchronous_commit = off; alter system set full_page_writes = off;
alter system set track_counts = off; select pg_reload_conf()
"""
_RIGHTS = f"""
do $$ begin
  if not exists (select from pg_roles where rolname = '{ROLE}') then create role {ROLE} login;
  end if;
end $$;
grant all on schema zohosync, public to {ROLE};
grant all on all sequences in schema zohosync to {ROLE};
grant select on all tables in schema public to {ROLE};
do $$ declare t record; begin
  for t in select relname from pg_class where relnamespace = 'zohosync'::regnamespace
              and relkind = 'r'
  loop execute format('alter table zohosync.%I owner to {ROLE}', t.relname);
  end loop;
end $$;
"""  # noqa: S608


class Arena:
    """A Postgres of our own for simulations, under `root`; open while the block runs."""

    def __init__(self, root: Path) -> None:
        """A new or an old folder; what a crash left in it is used again."""
        self._postgres = EmbeddedPostgres(root, fsync=False)
        self._number = 0

    def __enter__(self) -> Self:
        """Start the server and make the template. Raises EmbeddedPostgresError."""
        self._postgres.open()
        self._admin = Overseer(self._postgres.url())
        for statement in _SERVER.strip().split(";"):
            self._admin.run(statement)
        self._admin.run(f"drop database if exists {TEMPLATE}")
        self._admin.run(f"create database {TEMPLATE}")
        asyncio.run(_furnish(self._postgres.url(TEMPLATE)))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the server."""
        self._admin.close()
        self._postgres.close(wait_s=10)

    def fresh(self) -> tuple[str, str]:
        """The URLs of a new database: the workers' and the owner's."""
        self._number += 1
        name = f"run_{self._number}"
        self._admin.run(f"drop database if exists {name} with (force)")
        self._admin.run(f"create database {name} template {TEMPLATE} strategy file_copy")
        owner = self._postgres.url(name)
        return owner.replace("postgres@", f"{ROLE}@", 1), owner

    def drop(self, url: str) -> None:
        """Drop the database of that URL, whoever is connected."""
        name = url.partition("@/")[2].partition("?")[0]
        self._admin.run(f"drop database if exists {name} with (force)")


async def _furnish(url: str) -> None:
    database = await Database.open(url, connections=1)
    try:
        await migrate(database)
        async with database.transaction() as transaction:
            await transaction.execute_sql(CURRENT_TIME)
            await transaction.execute_sql(SCHEMA)
        await install_watches(database, WATCHES, clock=SystemClock())
        async with database.transaction() as transaction:
            await transaction.execute_sql(_RIGHTS)
    finally:
        await database.close()


WORK = Work(
    slots=10,
    lease_s=20.0,
    heartbeat_s=5.0,
    poll_s=300.0,  # acts wake the workers; what no wake-up told of is found later
    debounce_s=300.0,
    send_within_s=2.0,
    time_limit_s=30.0,
    max_retries=3,
    retry_base_s=5.0,
)


NIGHT_AFTER_S = 5_400.0


def settings_for(
    folder: Path,
    mapping: Mapping[str, str],
    sandbox: Sandbox,
    *,
    time_zone: str,
    limits: Limits,
    work: Work = WORK,
    night: str | None = None,
    brake: Brake | None = None,
    when_gone: Mapping[str, str] | None = None,
    **credentials: Any,
) -> Settings:
    """A project in that folder, with those mappings, for that pretend Zoho.

    At `night` (a time of its day) it sweeps, and compares with Zoho; without, it does neither soon.
    `when_gone` is by kind (D15).
    """
    folder.mkdir(parents=True, exist_ok=True)
    kinds = {}
    for kind, text in mapping.items():
        file = folder / f"{kind}.sql"
        file.write_text(text, encoding="utf-8")
        kinds[kind] = KindSettings(file, when_gone=(when_gone or {}).get(kind))
    return Settings(
        project=folder,
        organization=Organization(sandbox.organization_id, "us", "sandbox", time_zone, "ZAR", None),
        zoho=Zoho(
            client_id=sandbox.client_id,
            client_secret=Secret(sandbox.client_secret),
            refresh_token=Secret(credentials.get("refresh_token", sandbox.refresh_token)),
            secret_key=Secret(""),
            api_url="http://sandbox.invalid",
            accounts_url="http://sandbox.invalid",
        ),
        limits=limits,
        limits_plan="custom",
        worker=work,
        database=Place(Secret(""), folder),
        kinds=kinds,
        watches=(),
        origins=(),
        brake=brake or Brake(),
        sweep_at=night or "02:30",
        sweep_compare="nightly" if night else "never",
    )


def night_of(began: datetime, time_zone: str) -> str:
    """The hour of the sweep: early on, so that a short run has its night, too."""
    night = began + timedelta(seconds=NIGHT_AFTER_S)
    return f"{night.astimezone(ZoneInfo(time_zone)):%H:%M}"
