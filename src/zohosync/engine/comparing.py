"""The pass that holds the rows here against Zoho's lists, and links what is one; it writes nothing.

Theory of operation. A list comes in pages of 200 with no order that anybody promises. New records
come in at its head, so that rows come twice, which harms nobody; one that is deleted makes a row
slip from a page that is still to come to one that was read, and it is never seen. So a list of more
than one page is read twice where a row would be made for lack of a record, or where its pages were
out of order; what either reading saw was there.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from decimal import Decimal
from math import ceil
from typing import Any

from zohosync.clock import Clock
from zohosync.core.compare import (
    Here,
    There,
    Verdict,
    lacks,
    name_of,
    shifted,
    sort_out,
    there_of,
)
from zohosync.core.covered import Covering, covered_of, sort_covering
from zohosync.core.governor import MEND, REFUSED
from zohosync.core.kind import Kind
from zohosync.core.kinds import KINDS
from zohosync.core.pairs import (
    Row,
    held,
    label,
    linked_row,
    named,
    plain,
    row_verdict,
    shares,
    stands,
)
from zohosync.core.records import UPKEEP, Candidate, Payload, Ref, canonical
from zohosync.core.replies import Found, Unauthorized, Unavailable, Unreachable
from zohosync.engine.joined import here_in, joined, rows_of
from zohosync.errors import MappingError, RemoteError
from zohosync.store.comparisons import BATCH, Comparisons, Reading
from zohosync.store.source import Source
from zohosync.zoho.answers import said
from zohosync.zoho.client import GateClosedError, Remote
from zohosync.zoho.wire import WIRES

PASSES_MAX = 2
TRIES, PAUSE_S = 4, 5.0
LATELY_S = 3_600.0

CLOSED_MAX_S = 90.0
"""How long a closing is waited for; a longer one is told, and the reading goes on another time."""

Tell = Callable[[str, str, int], None]
"""Told of a kind, what is done with it (`read`, `sorted`), and of how many."""

Waits = Callable[[str], None]
"""Told in words that Zoho is waited for, how long and why."""


@dataclass(slots=True)
class Outcome:
    """What comparing a kind came to."""

    kind: str
    comparison_id: int
    counts: dict[str, int] = field(default_factory=dict)
    calls: int = 0
    linked: int = 0
    seen: int = 0


class Comparer:
    """Compares the kinds of one organisation, parents first."""

    def __init__(
        self,
        *,
        remote: Remote,
        source: Source,
        comparisons: Comparisons,
        clock: Clock,
        live: bool,
        tell: Tell = lambda *_: None,
        waits: Waits = lambda _: None,
    ) -> None:
        """`live`: the mapping's own zoho_id counts."""
        self._remote = remote
        self._source = source
        self._store = comparisons
        self._clock = clock
        self._live = live
        self._tell = tell
        self._waits = waits

    async def compare(self, kind: str) -> Outcome:
        """Read the kind's list to its end, sort every row, keep the verdicts.

        What may be one of the rows here is held: nothing is made for it. Raises RemoteError (it
        goes on where it was), MappingError (a key twice), LeaseLostError (somebody else reads it).
        """
        async with self._store.reading(kind) as reading:
            if WIRES[kind].verify.through is not None:
                return await self._compare_covering(reading)
            return await self._compare_list(reading)

    async def _compare_list(self, reading: Reading) -> Outcome:
        while True:
            await self._read(reading)
            verdicts, seen, lacking = await self._sorted(reading)
            if not (reading.torn or lacking) or reading.at >= PASSES_MAX:
                break
            await self._store.again(reading)
        if reading.torn:
            await self._store.drop(reading)
            raise RemoteError(
                f"The list of {reading.kind} changed its order while it was read, twice: it is not "
                "known to be whole",
                next_step=f"compare {reading.kind} again when fewer changes are made in Zoho",
            )
        return await self._keep(reading, verdicts, seen)

    async def _sorted(self, reading: Reading) -> tuple[list[Verdict], int, bool]:
        """The verdicts, how many records were seen, and if one may have been overlooked."""
        theres, heres = await self._theres(reading), await self._heres(reading.kind)
        verdicts = sort_out(KINDS[reading.kind], heres, theres)
        return verdicts, len(theres), reading.page > 1 and lacks(heres, verdicts)

    async def _read(self, reading: Reading) -> None:
        """The list's pages, from where the reading stands to the end."""
        wire = WIRES[reading.kind]
        tries = 0
        while True:
            pages = self._remote.pages(
                reading.kind, wire.verify.fixed, lane=UPKEEP, first=reading.page + 1
            )
            reply = whole = None
            try:
                async with aclosing(pages) as found:
                    async for reply in found:
                        if not isinstance(reply, Found):
                            break
                        await self._take(reading, list(reply.candidates))
                        whole, tries = reply.complete, 0
            except GateClosedError as closed:
                if closed.retry_in_s > CLOSED_MAX_S:
                    raise self._broken(reading, closed.reason) from None
                await self._wait(reading, closed.retry_in_s, closed.reason)
                continue
            if isinstance(reply, Unavailable | Unreachable) and tries < TRIES:
                tries += 1
                await self._wait(reading, PAUSE_S * 2.0**tries, said(reply))
                continue
            if isinstance(reply, Unauthorized):
                raise self._broken(reading, f"{REFUSED} ({reply.code}): {reply.message}")
            if not isinstance(reply, Found):
                raise self._broken(reading, said(reply) if reply else "there was no page")
            if not whole:
                await self._store.drop(reading)
                raise self._broken(reading, "Zoho does not say whether it is whole")
            return

    async def _wait(self, reading: Reading, seconds: float, why: str) -> None:
        page = f"page {reading.page + 1} of {reading.kind}"
        self._waits(f"{why}; {page} is asked for again in {ceil(seconds)} s")
        await self._clock.sleep(seconds)

    async def _take(self, reading: Reading, rows: list[Candidate]) -> None:
        ids = [row.zoho_id for row in rows]
        page = reading.page + 1
        again = await self._store.seen_again(reading, page, ids) if page > 1 else []
        torn = False
        if again:
            torn = not shifted(await self._store.page_ids(reading), ids, again)
        fresh = [row for row in rows if row.zoho_id not in set(again)]
        await self._store.save_page(reading, page, fresh, torn=torn)
        self._tell(reading.kind, "read", page)

    def _broken(self, reading: Reading, why: str) -> RemoteError:
        first = f"{MEND}; " if why.startswith(REFUSED) else ""
        return RemoteError(
            f"The list of {reading.kind} was read to page {reading.page} only: {why}",
            next_step=f"{first}zohosync compare {reading.kind} goes on there",
        )

    async def _theres(self, reading: Reading) -> list[There]:
        kind = KINDS[reading.kind]
        names = await self._names(kind)
        found: list[There] = []
        async with aclosing(self._store.seen(kind.name, reading.comparison_id)) as seen:
            async for rows in seen:
                found += [
                    there_of(kind, row.zoho_id, named(row.fields, WIRES[kind.name].by_name, names))
                    for row in rows
                ]
        return found

    async def _names(self, kind: Kind) -> dict[str, dict[Any, str]]:
        """Zoho ids by name, of those kinds whose names this kind's list tells instead of ids."""
        found: dict[str, dict[Any, str]] = {}
        newest = await self._store.newest() if WIRES[kind.name].by_name else {}
        for other, _ in WIRES[kind.name].by_name.values():
            ids, twice = dict[Any, str](), set[Any]()
            if other in newest:
                seen = self._store.seen(other, newest[other]["comparison_id"])
                async with aclosing(seen) as parts:
                    async for rows in parts:
                        for row in rows:
                            name = name_of(row.fields, ("name",))
                            twice |= {name} & ids.keys()
                            ids[name] = row.zoho_id
            found[other] = {name: each for name, each in ids.items() if name not in twice}
        return found

    async def _heres(self, kind: str) -> list[Here]:
        """Every row of the mapping, and every linked record whose row is not there any more."""
        linked, found, keys = await self._store.linked(kind), list[Here](), Counter[str]()
        async with aclosing(rows_of(self._source, self._store, kind)) as parts:
            async for rows in parts:
                for row in rows:
                    keys[row.desired.ref.key] += 1
                    found.append(here_in(row, live=self._live))
                self._tell(kind, "sorted", len(found))
        twice = [key for key, count in keys.items() if count > 1]
        if twice:
            raise MappingError(
                f"It returns key {twice[0]} {keys[twice[0]]} times ({len(twice):,} keys more than "
                "once)",
                place=f"mapping/{kind}.sql",
                next_step="let it return each key once, then compare again",
            )
        nobody = (None,) * len(KINDS[kind].match), (None,) * len(KINDS[kind].resemble)
        gone = {key: each for key, each in linked.items() if key not in keys}
        return found + [Here(key, *nobody, linked=each) for key, each in gone.items()]

    async def _keep(self, reading: Reading, verdicts: list[Verdict], seen: int) -> Outcome:
        """Keep the verdicts with what differs, hold what is in doubt, note what was seen equal."""
        kind = KINDS[reading.kind]
        await self._store.clear(reading)
        by_key = {verdict.key: verdict for verdict in verdicts if verdict.key is not None}
        counts: Counter[str] = Counter()
        async with aclosing(rows_of(self._source, self._store, kind.name)) as parts:
            async for rows in parts:
                pairs = [(row, by_key.pop(row.desired.ref.key, None)) for row in rows]
                told = await self._told(reading, [(row, each) for row, each in pairs if each])
                counts.update(each["sort"] for each in told)
                await self._save(reading, told)
        rest = [plain(each, "its row is not in the mapping any more") for each in by_key.values()]
        rest += [plain(each) for each in verdicts if each.key is None]
        ids = [row["zoho_id"] for row in rest]
        names = await self._store.seen_of(kind.name, reading.comparison_id, ids)
        for row in rest:
            row["label"] = row["label"] or label(kind, names.get(row["zoho_id"], {}))
        counts.update(row["sort"] for row in rest)
        await self._save(reading, rest)
        await self._store.finish(reading, counts)
        return Outcome(kind.name, reading.comparison_id, dict(counts), reading.calls, 0, seen)

    async def _save(self, reading: Reading, told: list[dict[str, Any]]) -> None:
        await self._store.save(reading, told)
        doubtful = [
            {
                "key": row["key"],
                "rivals": [row["zoho_id"]] if row["zoho_id"] else row["candidates"],
                "reason": held(row),
            }
            for row in told
            if row["key"] and not row["linked"] and (row["zoho_id"] or row["candidates"])
        ]
        await self._store.hold(reading.kind, doubtful)
        at = reading.started_at.isoformat()
        proofs = [
            {
                "key": row["key"],
                "zoho_id": row["zoho_id"],
                "proof": dict.fromkeys(row["equal_fields"], at),
            }
            for row in told
            if row["key"] and row["linked"] and row["equal_fields"]
        ]
        await self._store.prove(reading.kind, proofs)

    async def _told(
        self, reading: Reading, pairs: list[tuple[Row, Verdict]]
    ) -> list[dict[str, Any]]:
        kind = KINDS[reading.kind]
        names = await self._names(kind)
        ids = [verdict.zoho_id for _, verdict in pairs if verdict.zoho_id]
        seen = await self._store.seen_of(kind.name, reading.comparison_id, ids)
        found = []
        for row, verdict in pairs:
            there = seen.get(verdict.zoho_id or "")
            if there is not None:
                there = named(there, WIRES[kind.name].by_name, names)
            found.append(row_verdict(kind, row, verdict, there))
        return found

    async def _compare_covering(self, reading: Reading) -> Outcome:
        """A kind without a list, by what the list of its outer kind says."""
        kind, through = KINDS[reading.kind], WIRES[reading.kind].verify.through
        assert through is not None
        outer = await self._read_lately(reading, through.kind)
        rows: list[tuple[Covering, str]] = []
        async with aclosing(rows_of(self._source, self._store, kind.name)) as parts:
            async for batch in parts:
                for row in batch:
                    linked = row.record.zoho_id if row.record else None
                    taken = shares(row.wanted, through.at, through.share, row.desired)
                    excluded = row.record.excluded if row.record else frozenset[str]()
                    covering = Covering(row.desired.ref.key, linked, taken, row.parents, excluded)
                    rows.append((covering, label(kind, row.wanted)))
                self._tell(kind.name, "sorted", len(rows))
        ids = {share.zoho_id for row, _ in rows for share in row.shares if share.zoho_id}
        covered: dict[str, Decimal] = {}
        for part in _parts(sorted(ids), BATCH):
            seen = await self._store.seen_of(through.kind, outer, part)
            covered |= {each: covered_of(fields) for each, fields in seen.items()}
        await self._store.clear(reading)
        counts: Counter[str] = Counter()
        labels = {row.key: name for row, name in rows}
        for part in _parts(sort_covering([row for row, _ in rows], covered), BATCH):
            told = [{**plain(verdict), "label": labels[verdict.key]} for verdict, _ in part]
            for each, (_, pair) in zip(told, part, strict=True):
                if pair:
                    each["differences"] = {"paid": [canonical(value) for value in pair]}
            counts.update(each["sort"] for each in told)
            await self._save(reading, told)
        await self._store.finish(reading, counts)
        return Outcome(kind.name, reading.comparison_id, dict(counts), 0, 0, 0)

    def _still(
        self,
        row: Row,
        pairs: Mapping[str, str],
        seen: Mapping[str, Payload],
        names: Mapping[str, Mapping[Any, str]],
        *,
        by_hand: bool,
    ) -> bool:
        """Whether a row and what was seen are one still, as far as names tell."""
        kind, zoho_id = KINDS[row.desired.ref.kind], pairs[row.desired.ref.key]
        if WIRES[kind.name].verify.through is not None:
            return by_hand
        if zoho_id not in seen:
            return False
        there = there_of(kind, zoho_id, named(seen[zoho_id], WIRES[kind.name].by_name, names))
        return stands(here_in(row, live=self._live), there, by_hand=by_hand)

    async def _read_lately(self, reading: Reading, kind: str) -> int:
        """The comparison of a kind that another one needs, not older than an hour."""
        newest = (await self._store.newest()).get(kind)
        age = reading.started_at - newest["finished_at"] if newest else None
        if newest is None or age is None or age.total_seconds() > LATELY_S:
            await self._store.drop(reading)
            raise RemoteError(
                f"{reading.kind} are compared by what Zoho holds of {kind}: not read lately",
                next_step=f"zohosync compare {kind} {reading.kind}",
            )
        return int(newest["comparison_id"])

    async def link(
        self, kind: str, comparison_id: int, pairs: Mapping[str, str], *, by_hand: bool = False
    ) -> list[str]:
        """Link these rows (key → Zoho id) with their present payload as the baseline.

        Returns the keys that are linked now. A row that is wrong, gone, or somebody else by now is
        not; `by_hand` a person's word stands where no name bears it out.
        """
        names = await self._names(KINDS[kind])
        done: list[str] = []
        for part in _parts(sorted(pairs), BATCH // 2):
            records = await self._store.links_of(kind, part)  # before the rows are read
            wanted = await self._source.desired(Ref(kind, key) for key in part)
            there = await self._store.seen_of(kind, comparison_id, [pairs[key] for key in part])
            sound = [each for each in wanted.values() if each and not each.faults]
            whole = await joined(self._store, kind, sound)
            rows = [
                linked_row(
                    replace(row, record=records.get(row.desired.ref.key)),
                    pairs[row.desired.ref.key],
                    there.get(pairs[row.desired.ref.key], {}),
                    self._clock.now(),
                )
                for row in whole
                if self._still(row, pairs, there, names, by_hand=by_hand)
            ]
            done += await self._store.link(kind, comparison_id, rows)
            self._tell(kind, "linked", len(done))
        return done


def _parts(items: list[Any], size: int) -> list[list[Any]]:
    return [items[first : first + size] for first in range(0, len(items), size)]
