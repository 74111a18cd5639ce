"""What comparisons read, found and linked: the lists as seen, the verdicts, the links."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from zohosync.core.compare import PARENT, Sort
from zohosync.core.covered import PAID
from zohosync.core.linkfile import State
from zohosync.core.pairs import Known
from zohosync.core.records import Candidate, Payload, Ref
from zohosync.errors import DatabaseError, LeaseLostError
from zohosync.store.connection import exact_json
from zohosync.store.database import Database, Row
from zohosync.store.records import wakes

BUSY_S = 120.0
"""How long a reading is nobody else's after each page: a call may take 30 s and wait for leave."""

BATCH = 1_000
"""Rows that go in one statement."""


@dataclass(slots=True)
class Reading:
    """A list that is being read: `page` is the last one that this pass has brought."""

    comparison_id: int
    kind: str
    started_at: datetime
    at: int
    page: int
    torn: bool
    calls: int


class Comparisons:
    """The comparisons of one organisation."""

    def __init__(self, database: Database, org_id: str, who: str) -> None:
        """`who` reads; two never read one list at once."""
        self._database = database
        self._org_id = org_id
        self._who = who

    async def begin(self, kind: str) -> Reading | None:
        """Begin to read a list, or go on where it was broken off; None: somebody else reads it."""
        row = await self._database.fetch_one(
            "begin_comparison", org_id=self._org_id, kind=kind, who=self._who, busy_s=BUSY_S
        )
        if row is None:
            return None
        return Reading(
            row["comparison_id"], kind, row["started_at"], row["pass"], row["page"], row["torn"],
            row["calls"],
        )  # fmt: skip

    @asynccontextmanager
    async def reading(self, kind: str) -> AsyncIterator[Reading]:
        """A list that is ours to read meanwhile; broken off, the next one goes on where it was.

        Raises LeaseLostError when somebody else reads it.
        """
        reading = await self.begin(kind)
        if reading is None:
            raise LeaseLostError(
                f"Somebody else compares {kind} now: wait for it, or try again in two minutes"
            )
        try:
            yield reading
        except BaseException:  # a Ctrl-C, too: who starts again at once is not told to wait
            with suppress(DatabaseError):
                await self._database.execute(
                    "release_comparison", comparison_id=reading.comparison_id, who=self._who
                )
            raise

    async def page_ids(self, reading: Reading) -> list[str]:
        """The Zoho ids of the page that the reading stands at, in their order."""
        rows = await self._database.fetch("read_page_ids", **self._page(reading, reading.page))
        return [row["zoho_id"] for row in rows]

    async def seen_again(self, reading: Reading, page: int, zoho_ids: Sequence[str]) -> list[str]:
        """Those of a page's ids that earlier pages of this pass had, too."""
        values = {**self._page(reading, page), "zoho_ids": list(zoho_ids)}
        return [row["zoho_id"] for row in await self._database.fetch("seen_again", **values)]

    async def hold_on(self, reading: Reading) -> None:
        """See that the reading is still ours. Raises LeaseLostError."""
        ours = await self._database.execute(
            "touch_comparison", comparison_id=reading.comparison_id, who=self._who, busy_s=BUSY_S
        )
        if not ours:
            raise LeaseLostError(f"somebody else has taken over the comparison of {reading.kind}")

    async def save_page(
        self, reading: Reading, page: int, rows: Sequence[Candidate], *, torn: bool
    ) -> None:
        """Keep a page; the reading stands at it from now on. Raises LeaseLostError."""
        await self.hold_on(reading)
        told = [
            {"zoho_id": row.zoho_id, "place": place, "fields": row.fields}
            for place, row in enumerate({row.zoho_id: row for row in rows}.values())
        ]
        await self._database.execute(
            "save_page", **self._page(reading, page), torn=torn, busy_s=BUSY_S, who=self._who,
            rows=exact_json(told),
        )  # fmt: skip
        reading.page, reading.torn, reading.calls = page, reading.torn or torn, reading.calls + 1

    async def again(self, reading: Reading) -> None:
        """Read the list once more from the start. Raises LeaseLostError."""
        await self.hold_on(reading)
        await self._database.execute("next_pass", comparison_id=reading.comparison_id)
        reading.at, reading.page, reading.torn = reading.at + 1, 0, False

    async def drop(self, reading: Reading) -> None:
        """Forget a reading of ours that came to nothing: the next one starts anew."""
        await self._database.execute(
            "drop_comparison", comparison_id=reading.comparison_id, who=self._who
        )

    async def seen(self, kind: str, comparison_id: int) -> AsyncGenerator[list[Candidate], None]:
        """All that a reading saw, in batches."""
        after, full = "", True
        while full:
            rows = await self._database.fetch(
                "read_seen", org_id=self._org_id, kind=kind, comparison_id=comparison_id,
                after=after, limit=BATCH,
            )  # fmt: skip
            full = len(rows) == BATCH
            if rows:
                after = rows[-1]["zoho_id"]
                yield [Candidate(row["zoho_id"], row["fields"]) for row in rows]

    async def seen_of(
        self, kind: str, comparison_id: int, zoho_ids: Iterable[str]
    ) -> dict[str, Payload]:
        """What a reading saw in Zoho of these ids."""
        named = sorted(set(zoho_ids))
        if not named:
            return {}
        rows = await self._database.fetch(
            "seen_ids",
            org_id=self._org_id,
            kind=kind,
            zoho_ids=named,
            comparison_id=comparison_id,
        )
        return {row["zoho_id"]: row["fields"] for row in rows}

    async def ids_of(self, refs: Iterable[Ref]) -> dict[Ref, str]:
        """The Zoho ids of records: linked, or what the newest comparison is sure of."""
        named = sorted(set(refs))
        if not named:
            return {}
        rows = await self._database.fetch(
            "pair_ids", org_id=self._org_id, kinds=[ref.kind for ref in named],
            keys=[ref.key for ref in named],
        )  # fmt: skip
        return {Ref(row["kind"], row["key"]): row["zoho_id"] for row in rows}

    async def links_of(self, kind: str, keys: Sequence[str]) -> dict[str, Known]:
        """The records of rows, as they are before the rows are read."""
        rows = await self._database.fetch(
            "read_links_of", org_id=self._org_id, kind=kind, keys=list(keys)
        )
        return {
            row["key"]: Known(
                row["version"], row["status"], row["zoho_id"], row["payload"], row["accepted"],
                row["status"] != "synced" or row["version"] > row["synced_version"],
                row["busy"], row["error_message"], frozenset(row["excluded"]),
            )
            for row in rows
        }  # fmt: skip

    async def linked(self, kind: str) -> dict[str, str]:
        """The Zoho id of every linked record of a kind, by key."""
        rows = await self._database.fetch("linked_of_kind", org_id=self._org_id, kind=kind)
        return {row["key"]: row["zoho_id"] for row in rows}

    async def clear(self, reading: Reading) -> None:
        """Forget the verdicts of an earlier try of this reading. Raises LeaseLostError."""
        await self.hold_on(reading)
        await self._database.execute("clear_compared", comparison_id=reading.comparison_id)

    async def save(self, reading: Reading, rows: Sequence[Mapping[str, Any]]) -> None:
        """Keep verdicts: dicts of the columns of `compared`. Raises LeaseLostError."""
        await self.hold_on(reading)
        await self._in_batches("save_compared", rows, kind=reading.kind, of=reading.comparison_id)

    async def prove(self, kind: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Note when fields were seen equal: `key`, `zoho_id`, `proof` (field: instant)."""
        await self._in_batches("note_proofs", rows, kind=kind)

    async def hold(self, kind: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Let nothing be made for rows that may be in Zoho: `key`, `rivals`, `reason`."""
        await self._in_batches("hold_records", rows, kind=kind)

    async def finish(self, reading: Reading, counts: Mapping[str, int]) -> None:
        """The comparison stands; what is held for nothing any more is let go.

        Raises LeaseLostError.
        """
        await self.hold_on(reading)
        who = {"comparison_id": reading.comparison_id}
        await self._database.batch(
            ("release_held", {**who, "org_id": self._org_id, "kind": reading.kind}),
            ("finish_comparison", {**who, "counts": exact_json(dict(counts))}),
        )

    async def link(
        self, kind: str, comparison_id: int, rows: Sequence[Mapping[str, Any]]
    ) -> list[str]:
        """Link rows to their records: `key`, `zoho_id`, `version` and what else a record keeps.

        What waits for one of them is due. Returns the keys that are linked now; the others were
        changed or linked meanwhile.
        """
        done: list[str] = []
        for first in range(0, len(rows), BATCH):
            part = rows[first : first + BATCH]
            versions = {row["key"]: row["version"] for row in part}
            values = {
                "org_id": self._org_id, "kind": kind, "rows": exact_json(list(part)),
                "versions": exact_json(versions),
            }  # fmt: skip
            awake = wakes(self._org_id, kind, list(versions))
            found, *_ = await self._database.batch(("link_records", values), *awake)
            keys = [row["key"] for row in found]
            await self._database.execute(
                "note_links", org_id=self._org_id, kind=kind, comparison_id=comparison_id, keys=keys
            )
            done += keys
        return done

    async def resend(self, kind: str) -> int:
        """Let what differed at the newest comparison be sent at the next attempt; how many."""
        return await self._database.execute("resend_accepted", org_id=self._org_id, kind=kind)

    async def newest(self) -> dict[str, Row]:
        """The newest finished comparison of each kind."""
        rows = await self._database.fetch("read_comparisons", org_id=self._org_id)
        return {row["kind"]: row for row in rows if row["finished_at"] is not None}

    async def settled_since(self, kinds: Sequence[str]) -> list[str]:
        """Of these kinds, parents first, those of which something is held for nothing by now."""
        rows = await self._database.fetch(
            "settled_since", org_id=self._org_id, kinds=list(kinds), reasons=[PARENT, PAID]
        )
        return [row["kind"] for row in rows]

    async def verdicts(
        self, comparison_id: int, sorts: Iterable[Sort] = tuple(Sort), *, limit: int | None = None
    ) -> AsyncGenerator[list[Row], None]:
        """The verdicts of a comparison in batches, at most `limit` of them."""
        after, left = 0, limit
        while left is None or left > 0:
            most = BATCH if left is None else min(BATCH, left)
            rows = await self._database.fetch(
                "read_compared", comparison_id=comparison_id, after=after,
                sorts=[str(sort) for sort in sorts], limit=most,
            )  # fmt: skip
            if rows:
                yield rows
                after = rows[-1]["compared_id"]
            left = None if left is None else left - len(rows)
            if len(rows) < most:
                return

    async def sure(self, comparison_id: int) -> dict[str, str]:
        """What a comparison is sure of and nobody has linked yet: key → Zoho id."""
        found: dict[str, str] = {}
        async for rows in self.verdicts(comparison_id):
            found |= {r["key"]: r["zoho_id"] for r in rows if r["sure"] and not r["linked"]}
        return found

    async def tally(self, comparison_id: int) -> list[Row]:
        """How many rows are of each `sort`, by `linked` and `sure`."""
        return await self._database.fetch("count_compared", comparison_id=comparison_id)

    async def verdicts_of(
        self, kind: str, comparison_id: int, keys: Sequence[str]
    ) -> dict[str, Row]:
        """The verdicts of these rows, by key."""
        rows = await self._database.fetch(
            "read_verdicts_of", org_id=self._org_id, kind=kind, keys=list(keys),
            comparison_id=comparison_id,
        )  # fmt: skip
        return {row["key"]: row for row in rows}

    async def state(
        self, kind: str, comparison_id: int, keys: Sequence[str], zoho_ids: Sequence[str]
    ) -> State:
        """What a comparison knows of these rows and ids, for a person's word to be held against."""
        rows = await self.verdicts_of(kind, comparison_id, keys)
        owned = {zoho_id: key for key, zoho_id in (await self.linked(kind)).items()}
        links = {key: zoho_id for zoho_id, key in owned.items()}
        seen = await self.seen_of(kind, comparison_id, zoho_ids)
        return State({key: links.get(key) for key in rows}, frozenset(seen), owned)

    async def free(self, kind: str, rows: Mapping[str, Sequence[str] | None]) -> list[str]:
        """Nothing in Zoho that was named is these rows (key → what was named), a person says.

        Returns the keys that were held and are free now.
        """
        said = [{"key": key, "candidates": named} for key, named in rows.items()]
        found = await self._database.fetch(
            "free_records", org_id=self._org_id, kind=kind, rows=exact_json(said)
        )
        return [row["key"] for row in found]

    async def rivals_of(self, refs: Iterable[Ref]) -> dict[Ref, tuple[str, ...]]:
        """What these records may be in Zoho, of those that are not settled."""
        named = sorted(set(refs))
        if not named:
            return {}
        rows = await self._database.fetch(
            "rivals_of", org_id=self._org_id, kinds=[ref.kind for ref in named],
            keys=[ref.key for ref in named],
        )  # fmt: skip
        return {Ref(row["kind"], row["key"]): tuple(row["rivals"]) for row in rows}

    def _page(self, reading: Reading, page: int) -> dict[str, Any]:
        return {
            "org_id": self._org_id, "kind": reading.kind, "page": page, "pass": reading.at,
            "comparison_id": reading.comparison_id,
        }  # fmt: skip

    async def _in_batches(
        self, query: str, rows: Sequence[Mapping[str, Any]], *, kind: str, of: int | None = None
    ) -> None:
        more = {} if of is None else {"comparison_id": of}
        for first in range(0, len(rows), BATCH):
            part = exact_json(list(rows[first : first + BATCH]))
            await self._database.execute(query, org_id=self._org_id, kind=kind, rows=part, **more)
