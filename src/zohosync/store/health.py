"""Maintained counts and the signs that health is judged by; all of it exact, none of it a scan."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import simplejson

from zohosync.core.causes import ALIVE_S
from zohosync.core.health import LATE_S, Health
from zohosync.core.kinds import KINDS
from zohosync.core.records import LANES
from zohosync.core.vitals import Facts, Organization, Signs, WorkerSeen, figures_of
from zohosync.store.database import Database, Row

DAY_S = 86_400.0
NEWEST = 5_000
"""Attempts that the last day is judged by, the newest: as many as most plans have calls."""

LOOK = 1_000
"""Records that wait, and open writes, that one look at integrity goes through."""

FOLD = 5_000
"""Changes of the counts that are summed at a time: some milliseconds' work."""


class Vitals:
    """The counts and the health of one organisation."""

    def __init__(self, database: Database, org_id: str) -> None:
        """Nothing is read yet."""
        self._database = database
        self._org_id = org_id

    async def fold(self) -> int:
        """Sum changes of the counts into them; how many. To be called every few seconds."""
        taken = 0
        while True:
            row = await self._database.fetch_one("fold_counts", limit=FOLD)
            taken += row["taken"] if row else 0
            if row is None or row["taken"] < FOLD:
                return taken

    async def mend(self) -> list[Row]:
        """Count all records, and mend the counts where they differ: `kind`, `status`, and both.

        Nobody waits for it: it takes no lock that work needs.
        """
        _, mended = await self._database.batch(("lock_counts", {}), ("mend_counts", {}))
        return mended

    async def facts(
        self,
        *,
        version: str,
        mapped: Sequence[str],
        token_key: str = "",
        lacking: str | None = None,
        failed_allowed: int = 5,
    ) -> Facts | None:
        """All that health is judged by, in one round trip; None: the organisation is not known.

        `lacking` says what the credentials lack; `token_key` names the token that they open.
        """
        who = {"org_id": self._org_id}
        organization, workers, counts, oldest, signs, compared = await self._database.batch(
            ("read_organization", who),
            ("read_workers", who),
            ("count_records", who),
            ("read_oldest", {**who, "kinds": list(KINDS)}),
            (
                "read_signs",
                {
                    **who, "newest": NEWEST, "window_s": DAY_S, "look": LOOK, "late_s": LATE_S,
                    "token_key": token_key, "priorities": list(LANES),
                },
            ),
            ("read_comparisons", who),
        )  # fmt: skip
        if not organization or not signs:
            return None
        overdue = {row["kind"]: row["overdue_s"] for row in oldest}
        there = {row["kind"] for row in counts}
        kinds = [kind for kind in KINDS if kind in mapped or kind in there]
        untimed: dict[str, int] = {}
        for row in counts:
            left = row["records"] - row["timed"]
            untimed[row["status"]] = untimed.get(row["status"], 0) + left
        return Facts(
            version=version,
            organization=_organization(organization[0]),
            workers=tuple(
                WorkerSeen(w["worker"], w["version"], w["seen_s"], w["seen_s"] < ALIVE_S)
                for w in workers
            ),
            kinds=figures_of(counts, overdue, kinds),
            untimed=untimed,
            signs=_signs(signs[0]),
            doubles={
                row["kind"]: int(row["counts"].get("double", 0))
                for row in compared
                if row["finished_at"] is not None and row["counts"].get("double")
            },
            lacking=lacking,
            mapped=tuple(mapped),
            failed_allowed=failed_allowed,
        )

    async def note(self, health: Health) -> tuple[str | None, datetime]:
        """Keep how it was judged; the state before (None: never judged), and since when it is."""
        troubles = [
            {"name": each.name, "verdict": each.verdict, "words": each.words, "mend": each.mend}
            for each in health.troubles
        ]
        row = await self._database.fetch_one(
            "note_health", org_id=self._org_id, state=health.state,
            checks=simplejson.dumps(troubles),
        )  # fmt: skip
        assert row is not None
        return row["state_before"], row["since"]

    async def noted(self) -> Row | None:
        """How it was judged last: `state`, `since_s` seconds ago, `judged_at`, `checks`."""
        return await self._database.fetch_one("read_health", org_id=self._org_id)

    async def organization(self) -> Organization | None:
        """The organisation as it is, None when it is not known."""
        row = await self._database.fetch_one("read_organization", org_id=self._org_id)
        return None if row is None else _organization(row)

    async def seen_s(self, worker: str) -> float | None:
        """How many seconds ago that worker said that it is alive, None when it never did."""
        rows = await self._database.fetch("read_workers", org_id=self._org_id)
        return next((float(row["seen_s"]) for row in rows if row["worker"] == worker), None)


async def offer_sync_health(database: Database) -> str:
    """See that public.get_zoho_sync_health() is there; what was done, or why it could not be."""
    row = await database.fetch_one("offer_sync_health")
    assert row is not None
    return str(row["done"])


def _organization(row: Row) -> Organization:
    return Organization(
        org_id=row["org_id"],
        mode=row["mode"],
        active=row["active"],
        paused=row["paused"],
        paused_kinds=tuple(row["paused_kinds"]),
        braked=tuple(str(brake["why"]) for brake in row["brakes"].values()),
        closed_for_s=row["closed_for_s"] or 0.0,
        closed_reason=row["closed_reason"],
        overloads=row["overloads"],
        calls_today=row["calls_today"],
    )


def _signs(row: Row) -> Signs:
    told: dict[str, Any] = {name: row[name] for name in Signs.__slots__}
    return Signs(**{**told, "answers": tuple(row["answers"]), "overdue_s": tuple(row["overdue_s"])})
