"""The organisation's row, the installation that this database belongs to, and who works on it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import simplejson

from zohosync.clock import Chance
from zohosync.core.governor import DAY_SPENT, Limits
from zohosync.errors import SchemaError, SettingsError
from zohosync.store.database import Database, Row


@dataclass(frozen=True, slots=True)
class Registered:
    """The organisation as the database knows it."""

    org_id: str
    mode: str
    active: bool
    paused: str | None
    paused_kinds: tuple[str, ...]


async def register_organization(
    database: Database,
    *,
    org_id: str,
    data_center: str,
    mode: str,
    time_zone: str,
    currency: str | None,
    limits: Limits,
    kinds: Sequence[str],
    sure: bool = True,
) -> Registered:
    """Make the organisation known, and active where no other is or where we are `sure` of it.

    Raises SettingsError when its mode is another one.
    """
    values = {
        "org_id": org_id,
        "data_center": data_center,
        "mode": mode,
        "name": None,
        "time_zone": time_zone,
        "currency_code": currency,
        "limits": simplejson.dumps(asdict(limits)),
        "kinds": list(kinds),
        "day_spent": DAY_SPENT,
        "sure": sure,
    }
    # Two first starts at once would meet in `organizations_one_active`, which no upsert resolves.
    _, rows = await database.batch(("lock_installation", {}), ("register_organization", values))
    row = rows[0]
    if row["mode"] != mode:
        raise SettingsError(
            f"Organisation {org_id} is registered here as {row['mode']}, not {mode}",
            place="[organization] mode in zohosync.toml",
            next_step="set the mode back, or use another database for the other organisation",
        )
    return Registered(
        row["org_id"], row["mode"], row["active"], row["paused"], tuple(row["paused_kinds"])
    )


async def change_limits(database: Database, org_id: str, limits: Limits) -> bool:
    """Let these limits hold from the next call on, in every process; False: they do already."""
    told = simplejson.dumps(asdict(limits))
    changed = await database.execute(
        "change_limits", org_id=org_id, limits=told, day_spent=DAY_SPENT
    )
    return changed > 0


def installation_name(chance: Chance) -> str:
    """A name for a new installation: part of every marker, so that no two write the same."""
    return f"{chance.integer(0, 0xFFFF_FFFF):08x}"


async def register_installation(database: Database, name: str) -> str:
    """The installation's name, `name` when it has none yet.

    Raises SchemaError when the database was moved or copied since: a restored copy must not
    write to the same organisation as its original.
    """
    row = None
    while row is None:  # another process was the first, in this very moment: now it can be seen
        row = await database.fetch_one("register_installation", installation=name)
    was = (row["database_name"], row["system_identifier"])
    here = (row["here_name"], row["here_identifier"])
    if was != here:
        raise SchemaError(
            "This database is a copy or was moved: it was set up as "
            f"{was[0]!r} on another server or under another name",
            place=database.place,
            next_step="if it replaces the original, run `zohosync migrate --moved`; "
            "if the original goes on, run `zohosync migrate --copied` here",
        )
    return str(row["installation"])


COPY = (
    "this database is a copy: see that zohosync.toml names an organisation of its own, then "
    "`zohosync resume`"
)
"""Why an organisation in a copy is paused."""


async def move_installation(database: Database) -> Row:
    """This database replaces the one it was moved from: the installation goes on, links and all.

    Returns its name, and the database's name before and now. Raises SchemaError when it was not
    moved.
    """
    row = await database.fetch_one("move_installation")
    if row is None:
        raise _as_ever(database, "--moved")
    return row


async def copy_installation(database: Database, name: str) -> Row:
    """This database is a copy whose original goes on: it becomes an installation of that name.

    It keeps no link, intent or token of the original, and its organisations rest. Returns what was
    forgotten. Raises SchemaError when it is no copy.
    """
    row = await database.fetch_one("copy_installation", installation=name, reason=COPY)
    if row is None:
        raise _as_ever(database, "--copied")
    return row


def _as_ever(database: Database, option: str) -> SchemaError:
    return SchemaError(
        f"There is nothing for {option} to do: this database is the one that zohosync was set up "
        "in, on the same server and under the same name",
        place=database.place,
        next_step=f"leave {option} out",
    )


async def read_organization(database: Database, org_id: str) -> dict[str, Any] | None:
    """The organisation's row as it is, None when it is not known here."""
    return await database.fetch_one("read_organization", org_id=org_id)


async def pause_kinds(
    database: Database, org_id: str, kinds: Sequence[str], *, pause: bool, why: str
) -> tuple[str, ...]:
    """Pause or open kinds; returns the kinds that are paused now."""
    row = await database.fetch_one(
        "pause_kinds", org_id=org_id, kinds=list(kinds), pause=pause, why=why
    )
    if row is None:
        raise SettingsError(
            f"Organisation {org_id} is not known in this database",
            place=database.place,
            next_step="run `zohosync migrate` in the project folder",
        )
    return tuple(row["paused_kinds"])


class Presence:
    """That a worker is alive, as others can see it."""

    def __init__(
        self, database: Database, *, worker: str, org_id: str, host: str, pid: int, version: str
    ) -> None:
        """`worker` is the name that its claims and calls carry."""
        self._database = database
        self._who = {
            "worker": worker,
            "org_id": org_id,
            "host": host,
            "pid": pid,
            "version": version,
        }

    async def beat(self) -> None:
        """Be seen now."""
        await self._database.execute("beat", **self._who)

    async def leave(self) -> None:
        """Be gone by our own will."""
        await self._database.execute("leave", worker=self._who["worker"])
