"""The verb compare: the rows here beside Zoho's lists; links what is one, writes nothing there."""

import asyncio
import csv
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zohosync.cli.screen import (
    HERE,
    OK,
    AsJson,
    Kinds,
    ProjectDir,
    Screen,
    instant,
    kinds_of,
    settings_of,
)

if TYPE_CHECKING:
    from zohosync.bootstrap import House
    from zohosync.cli.screen import Meter
    from zohosync.engine.comparing import Comparer
    from zohosync.settings import Settings
    from zohosync.store.comparisons import Comparisons

SHOWN = 5
"""Rows of each sort that the terminal shows; files hold all."""

TOLD = 1_000
"""Rows of each kind that `--json` holds; `--csv` holds all."""

File = Annotated[Path | None, typer.Option(metavar="FILE", show_default=False)]


def compare(  # noqa: PLR0917 - options are not positional on a command line
    kinds: Kinds = None,
    project: ProjectDir = HERE,
    link: Annotated[
        bool, typer.Option("--link", help="Link the rows that are one with a record for sure.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write what a person decides, to be filled in."),
    ] = None,
    into: Annotated[
        Path | None,
        typer.Option(
            "--in", metavar="FILE", help="Read it back, filled in; asks Zoho for no list."
        ),
    ] = None,
    sheet: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Every row, as a table.")
    ] = None,
    page: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="A page that needs nothing else.")
    ] = None,
    json: AsJson = False,
) -> int:
    """Compare every row with what Zoho holds, and link what is one. It never writes to Zoho.

    Reads Zoho's lists to the end (the price is told first); where it was broken off, it goes on.
    Rows that may be in Zoho already are not made while that is not settled.
    """
    from zohosync.errors import SettingsError

    screen, settings = Screen(json), settings_of(project)
    chosen = kinds_of(kinds, tuple(settings.kinds))
    if into is not None and (link or out or sheet or page or kinds):
        raise SettingsError("--in goes with nothing else", next_step="zohosync compare --in FILE")
    for file in (out, sheet, page):
        if file is not None and not file.absolute().parent.is_dir():
            raise SettingsError("There is no such folder", place=str(file.absolute().parent))
    if into is not None:
        return asyncio.run(_settle(screen, settings, into))
    from zohosync.engine.joined import needed

    chosen = needed(chosen, tuple(settings.kinds))
    files = {"out": out, "csv": sheet, "html": page}
    return asyncio.run(_compare(screen, settings, chosen, link=link, files=files))


async def _compare(
    screen: Screen,
    settings: "Settings",
    kinds: tuple[str, ...],
    *,
    link: bool,
    files: Mapping[str, Path | None],
) -> int:
    told: dict[str, Any] = {}
    async with _comparing(screen, settings) as (house, comparer, store, meter):
        meter.expects(await _say_price(screen, settings, house, store, kinds))
        for kind in kinds:
            outcome = await comparer.compare(kind)
            found = await _tally(store, outcome.comparison_id)
            done = []
            if link:
                sure = await store.sure(outcome.comparison_id)
                done = await comparer.link(kind, outcome.comparison_id, sure)
            told[kind] = {
                "comparison_id": outcome.comparison_id,
                "calls": outcome.calls,
                "seen": outcome.seen,
                "linked_now": len(done),
                "differed": found["counts"]["differs"],
                **await _tally(store, outcome.comparison_id),
            }
        meter.close()
        at = max(each["finished_at"] for each in (await store.newest()).values())
        whose = f"Organisation {house.project.org_id}, compared {instant(at)} UTC."
        paused = [kind for kind in house.project.organization.paused_kinds if kind in kinds]
        return await _report(screen, store, told, files, whose, paused=paused)


class _Meters:
    """Shows how far the lists are read."""

    def __init__(self, screen: Screen, meter: "Meter") -> None:
        self._screen = screen
        self._meter = meter
        self.close = meter.close
        self._about = 0
        self._done = 0

    def expects(self, pages: int) -> None:
        """So many pages, about."""
        self._about = pages

    def waits(self, words: str) -> None:
        """Say that it is not stuck."""
        self._screen.line(words, style="yellow")

    def __call__(self, kind: str, what: str, count: int) -> None:
        if what == "read":
            self._done += 1
            self._meter(self._done, None, f"{kind}, page {count:,}", about=self._about)
        else:
            self._meter(self._done, None, f"{kind}: {count:,} {what}")


@asynccontextmanager
async def _comparing(
    screen: Screen, settings: "Settings"
) -> "AsyncIterator[tuple[House, Comparer, Comparisons, _Meters]]":
    """A comparer whose calls leave through the gate."""
    from zohosync.bootstrap import open_service
    from zohosync.clock import Chance, SystemClock
    from zohosync.engine.comparing import Comparer
    from zohosync.errors import ZohosyncError
    from zohosync.events import log
    from zohosync.store.comparisons import Comparisons

    clock, failed = SystemClock(), list[ZohosyncError]()
    async with open_service(settings, clock=clock, chance=Chance(), tell=log) as house:
        project = house.project
        store = Comparisons(project.database, project.org_id, project.worker)
        with screen.progress("pages read") as meter:
            meters = _Meters(screen, meter)
            comparer = Comparer(
                remote=house.remote, source=project.source, comparisons=store, clock=clock,
                live=settings.mode == "live", tell=meters, waits=meters.waits,
            )  # fmt: skip
            async with asyncio.TaskGroup() as tasks:
                gate = tasks.create_task(house.gate.run())
                try:
                    yield house, comparer, store, meters
                except ZohosyncError as error:  # raised outside, where no group wraps it
                    failed.append(error)
                finally:
                    gate.cancel()
    if failed:
        raise failed[0]


async def _say_price(
    screen: Screen, settings: "Settings", house: "House", store: "Comparisons", kinds: Sequence[str]
) -> int:
    """Say what it will cost, about; returns the pages."""
    from zohosync.core.figures import span_words
    from zohosync.zoho.wire import PER_PAGE, WIRES

    before, pages = await store.newest(), 0
    for kind in kinds:
        if WIRES[kind].verify.through is None:
            known = before[kind]["calls"] if kind in before else 0
            rows = await house.project.source.count(kind)
            pages += max(1, known, ceil(rows / PER_PAGE))
    per_minute = settings.limits.per_minute
    took = f", {span_words(60.0 * pages / per_minute)} of the limit" if per_minute else ""
    calls = f"{pages:,} call{'s' * (pages != 1)}"
    screen.line(
        f"About {calls} to read Zoho's lists of {', '.join(kinds)}{took}; a list that rows "
        "may have slipped from is read twice. Nothing is written to Zoho."
    )
    return pages


async def _tally(store: "Comparisons", comparison_id: int) -> dict[str, Any]:
    rows = await store.tally(comparison_id)
    from zohosync.core.compare import Sort

    counts = dict.fromkeys(map(str, Sort), 0)
    for row in rows:
        counts[row["sort"]] += row["rows"]
    return {
        "counts": counts,
        "to_link": sum(row["rows"] for row in rows if row["sure"] and not row["linked"]),
        "in_doubt": sum(
            row["rows"]
            for row in rows
            if not row["sure"] and row["sort"] in (Sort.AMBIGUOUS, Sort.DOUBLE)
        ),
    }


async def _report(
    screen: Screen,
    store: "Comparisons",
    told: dict[str, Any],
    files: Mapping[str, Path | None],
    whose: str,
    *,
    paused: Sequence[str],
) -> int:
    from zohosync.cli.compare_files import write_page, write_sheet, write_todo

    _say_counts(screen, told)
    for kind, each in told.items():
        await _say_rows(screen, store, kind, each)
    if files["csv"]:
        screen.line(f"wrote {await write_sheet(files['csv'], store, told):,} rows: {files['csv']}")
    if files["out"]:
        rows = await write_todo(files["out"], store, told)
        screen.line(f"wrote {rows:,} rows for a person to say: {files['out']}")
    to_link = sum(each["to_link"] for each in told.values())
    in_doubt = sum(each["in_doubt"] for each in told.values())
    step = _next_step(to_link, in_doubt, files["out"], paused)
    if files["html"]:
        await write_page(files["html"], store, told, whose=whose, step=step)
        screen.line(f"wrote {files['html']}")
    screen.next_step(step)
    for kind, each in told.items():
        each["rows"] = [_told_row(row) async for row in _rows(store, each["comparison_id"], TOLD)]
        each["rows_are_all"] = len(each["rows"]) < TOLD
        each["kind"] = kind
    screen.result({"kinds": told, "to_link": to_link, "in_doubt": in_doubt})
    return OK


def _next_step(to_link: int, in_doubt: int, todo: Path | None, paused: Sequence[str]) -> str:
    if to_link:
        return f"zohosync compare --link (links {to_link:,} rows, sends nothing)"
    if in_doubt and todo:
        return f"fill in zoho_id (or new) in {todo}, then zohosync compare --in {todo}"
    if in_doubt:
        return f"zohosync compare --out links.csv ({in_doubt:,} rows that a person decides)"
    then = f", then zohosync resume {' '.join(paused)}" if paused else ""
    return f"zohosync plan{then}"


async def _rows(
    store: "Comparisons", comparison_id: int, limit: int
) -> AsyncIterator[dict[str, Any]]:
    """The rows that are not simply linked."""
    from zohosync.core.compare import Sort

    sorts = [sort for sort in Sort if sort is not Sort.LINKED]
    async for rows in store.verdicts(comparison_id, sorts, limit=limit):
        for row in rows:
            yield row


def _told_row(row: Mapping[str, Any]) -> dict[str, Any]:
    names = ("key", "label", "zoho_id", "sort", "linked", "sure", "candidates", "reason")
    return {**{name: row[name] for name in names}, "differences": row["differences"]}


def _say_counts(screen: Screen, told: Mapping[str, Any]) -> None:
    from zohosync.core.compare import Sort

    columns = ["kind", "in Zoho", *map(str, Sort), "calls"]
    rows = [
        [kind, each["seen"], *(each["counts"][str(sort)] for sort in Sort), each["calls"]]
        for kind, each in told.items()
    ]
    screen.table(columns, rows)
    for kind, each in told.items():
        if each["linked_now"]:
            screen.line(f"linked {each['linked_now']:,} {kind}: nothing is sent before they change")


async def _say_rows(
    screen: Screen, store: "Comparisons", kind: str, each: Mapping[str, Any]
) -> None:
    from zohosync.cli.compare_files import difference_words
    from zohosync.core.compare import Sort

    for sort in (Sort.DOUBLE, Sort.AMBIGUOUS, Sort.DIFFERS):
        count, shown = each["counts"][str(sort)], []
        async for rows in store.verdicts(each["comparison_id"], [sort], limit=SHOWN):
            shown += rows
        if not shown:
            continue
        screen.line()
        table = [
            [row["key"] or "-", row["label"] or "",
             " ".join([row["zoho_id"] or "", *row["candidates"]]).strip(),
             difference_words(row) or row["reason"] or ""]
            for row in shown
        ]  # fmt: skip
        screen.table(["key", "row", "in Zoho", "why"], table, title=f"{kind}: {sort}")
        if count > len(shown):
            screen.line(f"… and {count - len(shown):,} more: --csv FILE or --html FILE has all")


async def _settle(screen: Screen, settings: "Settings", file: Path) -> int:
    """Take what a person filled in: all of it, or nothing when a line is wrong."""
    from zohosync.core.linkfile import judged, lines_of
    from zohosync.errors import SettingsError

    try:
        with file.open(encoding="utf-8", newline="") as opened:
            lines, faults = lines_of(csv.reader(opened))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = getattr(error, "strerror", None) or error
        raise SettingsError(f"It cannot be read: {why}", place=str(file)) from None
    async with _comparing(screen, settings) as (_, comparer, store, _meters):
        newest = await store.newest()
        states = {}
        for kind in {line.kind for line in lines} & newest.keys():
            mine = [line for line in lines if line.kind == kind]
            states[kind] = await store.state(
                kind, newest[kind]["comparison_id"], [line.key for line in mine],
                [line.zoho_id for line in mine],
            )  # fmt: skip
        said = judged(lines, states)
        faults += said.faults
        if faults:
            for fault in faults[:20]:
                screen.line(fault, style="red")
            raise SettingsError(
                f"{len(faults):,} lines are wrong, so none was taken: {faults[0]}",
                place=str(file),
                next_step="correct them; `zohosync compare --out FILE` writes a fresh one",
            )
        linked, fresh = {}, {}
        for kind in (name for name in settings.kinds if name in states):
            pairs = said.links.get(kind, {})
            done = await comparer.link(kind, newest[kind]["comparison_id"], pairs, by_hand=True)
            linked[kind] = len(done)
            left = sorted(pairs.keys() - set(done))
            if left:
                screen.line(
                    f"{kind}: {len(left):,} could not be linked now (a worker has them, the row is "
                    f"wrong or gone): {', '.join(left[:SHOWN])}",
                    style="yellow",
                )
            fresh[kind] = len(await store.free(kind, said.fresh.get(kind, {})))
    for kind, count in linked.items():
        screen.line(f"{kind}: linked {count:,}, to be made {fresh[kind]:,}")
    screen.next_step("zohosync compare, to see what is left")
    screen.result({"linked": linked, "new": fresh})
    return OK
