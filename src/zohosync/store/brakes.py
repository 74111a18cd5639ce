"""The brake in the database: endings stopped as they ask for leave, kinds let go by a person."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from zohosync.core.brake import WINDOW_S, Brake, Closing, stopped, too_many_endings
from zohosync.core.records import Ref
from zohosync.store.database import Database, Transaction


@dataclass(frozen=True, slots=True)
class Stops:
    """Which calls may not leave, by place, and why; `braked` tells of kinds that this paused."""

    reasons: Mapping[int, str] = field(default_factory=dict)
    braked: tuple[str, ...] = ()


async def stop_endings(
    transaction: Transaction, org_id: str, refs: Mapping[int, Ref], brake: Brake
) -> Stops:
    """Stop those of these endings that are too many, and pause their kinds.

    `refs` are the records that would be closed, by their calls' places. The organisation's row is
    locked, so that nobody else counts or lets anything leave meanwhile.
    """
    if not refs:
        return Stops()
    rows = await transaction.fetch(
        "view_endings",
        org_id=org_id,
        places=list(refs),
        kinds=[ref.kind for ref in refs.values()],
        keys=[ref.key for ref in refs.values()],
        window_s=WINDOW_S,
    )
    asked = {row["place"]: _closing(row) for row in rows}
    found = [asked[place] for place in stopped(list(asked.values()), brake)]
    over = {closing.ref.kind: closing.lately for closing in found if not closing.paused}
    why = {kind: too_many_endings(kind, brake) for kind in over}
    for kind, lately in over.items():
        braking = _braking(org_id, kind, "endings", why[kind], lately)
        await transaction.execute("brake_kind", **braking)
    reasons = {
        closing.place: why.get(closing.ref.kind, f"{closing.ref.kind} is paused")
        for closing in found
    }
    return Stops(reasons, tuple(why.values()))


def _closing(row: Mapping[str, Any]) -> Closing:
    return Closing(
        row["place"],
        Ref(row["kind"], row["key"]),
        row["lately"],
        counted=row["counted"],
        let_through=row["let_through"],
        paused=row["paused"],
    )


def _braking(org_id: str, kind: str, cause: str, why: str, count: int) -> dict[str, Any]:
    """What brake_kind is told."""
    return {"org_id": org_id, "kind": kind, "cause": cause, "why": why, "count": count}


class Brakes:
    """The braked kinds of one organisation."""

    def __init__(self, database: Database, org_id: str) -> None:
        """Nothing is read yet."""
        self._database = database
        self._org_id = org_id

    async def pause(self, kind: str, cause: str, why: str, count: int) -> bool:
        """Pause a kind for this cause; False: it was paused already."""
        braking = _braking(self._org_id, kind, cause, why, count)
        return await self._database.fetch_one("brake_kind", **braking) is not None

    async def release(self, kind: str, keys: Iterable[str], *, why: str) -> tuple[str, ...]:
        """Open a kind again and let the endings of these records through, each once.

        Returns the kinds that are paused now.
        """
        row = await self._database.fetch_one(
            "release_brake", org_id=self._org_id, kind=kind, keys=list(keys), why=why
        )
        return tuple(row["paused_kinds"]) if row else ()
