"""The kept lists of an organisation, and who is woken by what stands in them now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import simplejson

from zohosync.core.catalog import Copy
from zohosync.core.records import Payload
from zohosync.store.database import Database

KEYS_MAX = 1_000
"""Keys of ours that are looked at for one like an unknown name."""


@dataclass(frozen=True, slots=True)
class OrgData:
    """What one organisation's lists were; every instant is the database's. All raise DatabaseError.

    The right to read a list is a lease in its row, fenced by an epoch: no session holds it.
    """

    database: Database
    org_id: str

    async def read(self, kind: str) -> Copy:
        """The kept list of a kind; an empty copy where none is."""
        row = await self.database.fetch_one("read_org_data", org_id=self.org_id, kind=kind)
        if row is None or row["data"] is None:
            return Copy()
        return Copy(row["data"], row["age_s"], row["current"])

    async def ages(self) -> dict[str, Copy]:
        """Every list that is kept, by kind, without its rows."""
        rows = await self.database.fetch("read_org_ages", org_id=self.org_id)
        return {row["kind"]: Copy({}, row["age_s"], row["current"]) for row in rows}

    async def lease(self, kind: str, lease_s: float) -> int | None:
        """The right to read a list, as its epoch; None when another process has it."""
        row = await self.database.fetch_one(
            "lease_org_data", org_id=self.org_id, kind=kind, lease_s=lease_s
        )
        return None if row is None else int(row["lease_epoch"])

    async def extend(self, kind: str, epoch: int, lease_s: float) -> bool:
        """Go on having that right; False when it was lost."""
        row = await self.database.fetch_one(
            "extend_org_lease", org_id=self.org_id, kind=kind, epoch=epoch, lease_s=lease_s
        )
        return row is not None

    async def release(self, kind: str, epoch: int) -> None:
        """Give that right up without a new list."""
        await self.database.execute("release_org_lease", org_id=self.org_id, kind=kind, epoch=epoch)

    async def save(
        self, kind: str, epoch: int, rows: Mapping[str, Payload], names: Sequence[str]
    ) -> bool:
        """Keep the list as it was read, and wake what was looked for in vain and is in it.

        False when the right was lost, or we wrote into the list meanwhile: then it is not kept.
        """
        who = {"org_id": self.org_id, "kind": kind}
        saved, _ = await self.database.batch(
            ("save_org_data", {**who, "epoch": epoch, "data": _json(rows)}),
            ("wake_listed", {**who, "keys": list(names)}),
        )
        return bool(saved)

    async def amend(self, kind: str, zoho_id: str, fields: Payload) -> None:
        """What we wrote into Zoho stands in the kept list at once."""
        await self.database.execute(
            "amend_org_data", org_id=self.org_id, kind=kind, zoho_id=zoho_id, data=_json(fields)
        )

    async def clear(self) -> list[str]:
        """Keep no list any more; returns the kinds of which one was kept."""
        rows = await self.database.fetch("clear_org_data", org_id=self.org_id)
        return sorted(row["kind"] for row in rows)

    async def keys_of(self, kind: str) -> list[str]:
        """Keys of records of ours, KEYS_MAX at the most."""
        rows = await self.database.fetch(
            "read_keys_of", org_id=self.org_id, kind=kind, limit=KEYS_MAX
        )
        return [row["key"] for row in rows]


def _json(value: object) -> str:
    return simplejson.dumps(value, use_decimal=True)
