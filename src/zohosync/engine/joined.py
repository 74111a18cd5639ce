"""Rows of a mapping joined with their parents' ids and their records; and a month of them."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from zohosync.core.compare import Here, here_of
from zohosync.core.kind import Kind
from zohosync.core.kinds import KINDS
from zohosync.core.month import Entry, entry_of, only_there
from zohosync.core.pairs import Row
from zohosync.core.plan import resolve
from zohosync.core.records import Desired, ParentView, Payload
from zohosync.engine.passes import batches
from zohosync.store.comparisons import Comparisons
from zohosync.store.source import Source
from zohosync.zoho.wire import WIRES


async def rows_of(source: Source, store: Comparisons, kind: str) -> AsyncGenerator[list[Row], None]:
    """The rows of a mapping in batches, with their parents' ids, and their records first."""
    async with aclosing(batches(source, kind)) as parts:
        async for raw in parts:
            wanted = [source.as_desired(kind, row) for row in raw]
            yield await joined(store, kind, wanted)


async def joined(store: Comparisons, kind: str, wanted: list[Desired]) -> list[Row]:
    """These rows with their records, which are read first, and their parents' ids."""
    records = await store.links_of(kind, [each.ref.key for each in wanted])
    refs = {slot.parent for each in wanted for slot in each.slots}
    ids = await store.ids_of(refs)
    open_ = await store.rivals_of(ref for ref in refs if ref not in ids)
    views = {ref: ParentView(ref, ids.get(ref)) for ref in refs}
    return [
        Row(
            each,
            resolve(each, views),
            records.get(each.ref.key),
            tuple(dict.fromkeys(r for slot in each.slots for r in open_.get(slot.parent, ()))),
        )
        for each in wanted
    ]


async def month_entries(
    source: Source, store: Comparisons, kind: Kind, month: str, currency: str
) -> AsyncGenerator[list[Entry], None]:
    """The rows and the records of a kind that are dated in that month, each pair as one entry.

    Zoho's side is what the newest comparison saw; of a kind without a list, what is linked here.
    """
    newest = (await store.newest())[kind.name]
    listed = WIRES[kind.name].verify.through is None
    there: dict[str, Payload] = {}
    if listed:
        async with aclosing(store.seen(kind.name, newest["comparison_id"])) as seen:
            async for parts in seen:
                there |= {row.zoho_id: row.fields for row in parts}
    paired: set[str] = set()
    async with aclosing(rows_of(source, store, kind.name)) as batched:
        async for rows in batched:
            found = []
            ids = await store.ids_of(row.desired.ref for row in rows)
            for row in rows:
                zoho_id = ids.get(row.desired.ref)
                fields = there.get(zoho_id or "")
                if zoho_id is not None and not listed and row.record and row.record.zoho_id:
                    fields = {**(row.record.payload or {}), "currency_code": currency}
                entry = entry_of(kind, row, fields, month, currency)
                if zoho_id:
                    paired.add(zoho_id)
                if entry is not None:
                    found.append(entry)
            yield found
    left = (fields for zoho_id, fields in there.items() if zoho_id not in paired)
    yield [entry for fields in left if (entry := only_there(kind, fields, month, currency))]


def needed(kinds: Sequence[str], mapped: Sequence[str]) -> tuple[str, ...]:
    """These kinds with those that are read for their sake, parents before children."""
    more = set(kinds)
    for kind in kinds:
        through = WIRES[kind].verify.through
        more |= {through.kind} if through else set()
        more |= {other for other, _ in WIRES[kind].by_name.values()}
    return tuple(kind for kind in mapped if kind in more)


def here_in(row: Row, *, live: bool) -> Here:
    """A row as the sorting needs it; `live`: the mapping's own ids count."""
    kind, known = KINDS[row.desired.ref.kind], row.record
    linked, excluded = (known.zoho_id, known.excluded) if known else (None, frozenset[str]())
    return here_of(
        kind, row.desired, row.wanted, linked=linked, live=live, excluded=excluded,
        parents=row.parents,
    )  # fmt: skip
