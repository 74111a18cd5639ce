"""Upkeep in the database: who leads, which job ran when, what is pruned and what is forgotten."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

from zohosync.core.privacy import hints_kept, tells_of_itself
from zohosync.core.records import Ref
from zohosync.core.upkeep import Runs
from zohosync.errors import LeaseLostError
from zohosync.store.database import Database, Row

PRUNED_AT_ONCE = 2_000
"""Rows that one statement of retention looks at: some milliseconds' work."""

AT_ONCE = 200
"""Records that one run forgets; the next run goes on."""

PRUNES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "logs": ("prune_logs",),
        "journal": ("prune_calls",),
        "audit": ("prune_audit",),
        "comparisons": ("prune_seen", "prune_compared"),
        "usage": ("prune_usage",),
    }
)
"""What is pruned, by the name of its setting (`retention.<name>_days`), and by which queries."""


@dataclass(frozen=True, slots=True)
class Look:
    """The jobs at a moment: `epoch` where we lead, `held` the runs that are still ours."""

    now: datetime
    zone: ZoneInfo
    known: Mapping[str, Runs]
    epoch: int | None = None
    held: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Pruned:
    """One statement's work: rows that went, the last row looked at, whether there may be more."""

    gone: int
    last: int
    more: bool


class Upkeep:
    """The upkeep of one organisation, as one process takes part in it."""

    def __init__(self, database: Database, org_id: str, worker: str) -> None:
        """`worker` is the name that a leader is known by."""
        self._database = database
        self._who = {"org_id": org_id, "worker": worker}

    @property
    def worker(self) -> str:
        """Who takes part."""
        return self._who["worker"]

    async def look(self, lease_s: float, running: Iterable[str] = (), *, lead: bool = True) -> Look:
        """Lead, or go on leading, where nobody else does; how the jobs stand. One round trip.

        The runs that are `running` here go on. With `lead` False nobody leads by this.
        """
        holding = {**self._who, "lease_s": lease_s, "jobs": list(running)}
        asks: list[tuple[str, Mapping[str, Any]]] = [("lead", holding)] if lead else []
        asks += [("hold_jobs", holding), ("read_jobs", {"org_id": self._who["org_id"]})]
        *led, held, rows = await self._database.batch(*asks)
        epoch = int(led[0][0]["epoch"]) if led and led[0] else None
        return _look(rows, epoch, frozenset(row["job"] for row in held))

    async def note(self, jobs: Sequence[str]) -> None:
        """Let these jobs be known from now on."""
        await self._database.execute("note_jobs", org_id=self._who["org_id"], jobs=list(jobs))

    async def claim(self, job: str, runs: int, lease_s: float, epoch: int | None) -> int | None:
        """Begin a run of a job that was seen with so many runs; its number.

        None: another one began it, or we do not lead any more (`epoch` None: that is not asked).
        """
        row = await self._database.fetch_one(
            "claim_job", job=job, runs=runs, lease_s=lease_s, epoch=epoch, **self._who
        )
        return None if row is None else int(row["runs"])

    async def end(self, job: str, runs: int, *, done: bool, took_ms: int, told: str | None) -> None:
        """Write down how a run ended; nothing where it is somebody else's by now."""
        await self._database.execute(
            "end_job", job=job, runs=runs, done=done, took_ms=took_ms, told=told, **self._who
        )

    async def listed(self) -> tuple[Look | None, list[Row], Row | None]:
        """For display: the jobs as values and as rows, and who leads; None: nobody knows us."""
        who = {"org_id": self._who["org_id"]}
        rows, leader = await self._database.batch(("read_jobs", who), ("read_leader", who))
        look = _look(rows, None, frozenset()) if rows else None
        return look, [row for row in rows if row["job"]], leader[0] if leader else None

    async def prune(self, query: str, keep_days: int, after: int = 0) -> Pruned:
        """Delete some of the rows that are older, of every organisation, from `after` on.

        `query` is one of PRUNES. What a record still needs to find out what became of a write is
        never among them.
        """
        row = await self._database.fetch_one(
            query, keep_days=keep_days, limit=PRUNED_AT_ONCE, after=after
        )
        return Pruned(row["gone"], row["last"], row["more"]) if row else Pruned(0, after, False)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What went: `pending`: a write is in doubt, and the rest goes when that is settled.

    `remembered`: what it was in Zoho is known by a hash of its key; `alias` is what its attempts
    and calls are counted under.
    """

    alias: str
    pending: bool
    remembered: bool
    zoho_id: str | None
    counts: Mapping[str, int]
    audit_id: int | None


@dataclass(frozen=True, slots=True)
class Forgetting:
    """Lets go of what our tables tell of a record."""

    database: Database
    org_id: str

    async def known(self, ref: Ref) -> bool:
        """Whether anything of ours names it."""
        row = await self.database.fetch_one("count_traces", **self._who(ref))
        return bool(row and row["known"])

    async def since(self, ref: Ref) -> datetime | None:
        """Since when it is forgotten; None: it is not, or has come back since."""
        row = await self.database.fetch_one("read_forgotten", **self._who(ref))
        return row["forgotten_at"] if row else None

    async def forget(self, ref: Ref, why: str) -> Forgotten:
        """Forget it; one row in the audit, without its key.

        Raises LeaseLostError while a worker is at it; then nothing is changed.
        """
        found = await self._forget(ref, why, act="forget", again=False)
        assert found is not None
        return found

    async def finish(self) -> str | None:
        """Forget those that had to wait, or whose key was named since; how many, in words."""
        rows = await self.database.fetch("read_forgettable", org_id=self.org_id, limit=AT_ONCE)
        done = 0
        for row in rows:
            ref = Ref(row["kind"], row["key"])
            done += await self._forget(ref, None, act=None, again=True) is not None
        return f"{done:,} records that were asked to be forgotten are" if done else None

    async def _forget(
        self, ref: Ref, why: str | None, *, act: str | None, again: bool
    ) -> Forgotten | None:
        """`again`: only what is flagged, at rest and away; None where that is not so any more."""
        values = {
            **self._who(ref), "hints": list(hints_kept(ref.kind)), "act": act, "why": why,
            "tells": tells_of_itself(ref.kind),
        }  # fmt: skip
        async with self.database.transaction() as transaction:
            held = await transaction.fetch_one("hold_forgettable", **self._who(ref))
            if again and not (held and _is_away(held)):
                return None
            if held is not None and held["leased"]:
                raise LeaseLostError(
                    f"{ref} is being worked on just now, and nothing was changed",
                    next_step="say it again in a few seconds",
                )
            row = await transaction.fetch_one("forget_record", **values)
            assert row is not None
            await transaction.fetch("await_alerts", org_id=self.org_id)
            await transaction.execute("forget_alerts", alias=row["alias"], **self._who(ref))
        counts = {name: row[name] for name in ("records", "logs", "calls", "compared", "acts")}
        return Forgotten(
            row["alias"], bool(row["pending"]), bool(row["remembered"]), row["zoho_id"], counts,
            row["audit_id"],
        )  # fmt: skip

    def _who(self, ref: Ref) -> dict[str, str]:
        return {"org_id": self.org_id, "kind": ref.kind, "key": ref.key}


def _is_away(held: Row) -> bool:
    return bool(
        held["forgotten"] and held["gone"] and held["status"] == "skipped"
        and not held["leased"] and not held["in_doubt"]
    )  # fmt: skip


def _look(rows: Sequence[Row], epoch: int | None, held: frozenset[str]) -> Look:
    known = {
        row["job"]: Runs(
            row["noted_at"], row["runs"], row["state"], row["started_at"], row["ended_at"],
            row["held_until"], row["failures"],
        )
        for row in rows
        if row["job"]
    }  # fmt: skip
    if not rows:  # nobody knows the organisation
        return Look(datetime.fromtimestamp(0, UTC), ZoneInfo("UTC"), known)
    return Look(rows[0]["now"], ZoneInfo(rows[0]["time_zone"]), known, epoch, held)
