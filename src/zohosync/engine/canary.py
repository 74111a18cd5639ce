"""The canary: the first few rows of a kind, and the parents that they need, go ahead."""

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from zohosync.core.kinds import KINDS, MAPPED
from zohosync.core.records import BULK, Desired, Ref
from zohosync.engine.passes import batches
from zohosync.store.history import History
from zohosync.store.source import Source


@dataclass(slots=True)
class Canary:
    """The rows that go ahead, in mapping order, and the parents of theirs that Zoho lacks."""

    refs: list[Ref] = field(default_factory=list)
    parents: list[Ref] = field(default_factory=list)


async def choose(source: Source, history: History, kinds: Sequence[str], limit: int) -> Canary:
    """The first `limit` rows of each kind, in mapping order, those without a link before others.

    Rows that are not eligible are passed over. Spends no call.
    """
    chosen = Canary()
    wanted: list[Desired] = []
    for kind in (name for name in MAPPED if name in kinds):
        wanted += await _first(source, history, kind, limit)
    chosen.refs = [desired.ref for desired in wanted]
    while wanted:  # their parents, and the parents' own
        named = {slot.parent for desired in wanted for slot in desired.slots}
        named -= {*chosen.refs, *chosen.parents}
        missing = await _without_link(history, [ref for ref in named if _mapped(source, ref)])
        chosen.parents += missing
        found = await source.desired(missing)
        wanted = [desired for desired in found.values() if desired is not None]
    places = {kind: place for place, kind in enumerate(MAPPED)}
    chosen.parents.sort(key=lambda ref: (places[ref.kind], ref.key))
    return chosen


async def mark(history: History, canary: Canary) -> dict[str, int]:
    """Mark them, parents first, in the lane of backfills; returns how many per kind."""
    refs = [*canary.parents, *canary.refs]
    await history.mark(refs, priority=BULK)
    counts: dict[str, int] = {}
    for ref in refs:
        counts[ref.kind] = counts.get(ref.kind, 0) + 1
    return counts


async def _first(source: Source, history: History, kind: str, limit: int) -> list[Desired]:
    fresh: list[Desired] = []
    linked: list[Desired] = []
    async with aclosing(batches(source, kind)) as found:
        async for rows in found:
            wanted = [each for row in rows if (each := source.as_desired(kind, row)).eligible]
            without = set(await _without_link(history, [desired.ref for desired in wanted]))
            for desired in wanted:
                (fresh if desired.ref in without else linked).append(desired)
            if len(fresh) >= limit:
                break
            del linked[limit:]
    return (fresh + linked)[:limit]


async def _without_link(history: History, refs: Sequence[Ref]) -> list[Ref]:
    """Those of them that have no Zoho id yet."""
    without: list[Ref] = []
    for kind in dict.fromkeys(ref.kind for ref in refs):
        keys = [ref.key for ref in refs if ref.kind == kind]
        known = await history.known(kind, keys)
        without += [Ref(kind, key) for key in keys if key not in known or not known[key].zoho_id]
    return without


def _mapped(source: Source, ref: Ref) -> bool:
    return ref.kind in source.kinds and not KINDS[ref.kind].internal
