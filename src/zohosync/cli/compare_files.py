"""What compare leaves behind as files: a sheet of every row, a list to be filled in, a page."""

import csv
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from zohosync.cli.screen import as_json
from zohosync.core.compare import Sort
from zohosync.core.linkfile import COLUMNS

if TYPE_CHECKING:
    from zohosync.store.comparisons import Comparisons

PAGE_ROWS = 1_000
"""Rows of each sort that the page shows: more is for the sheet."""

SHEET = (
    "kind", "key", "label", "zoho_id", "sort", "linked", "sure", "candidates", "reason",
    "differences",
)  # fmt: skip


@contextmanager
def whole(file: Path) -> Iterator[IO[str]]:
    """A file that is there as a whole or not at all."""
    part = file.with_name(f".{file.name}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as opened:
            yield opened
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def difference_words(row: Mapping[str, Any]) -> str:
    """What differs, for people: field: here → there."""
    return "; ".join(
        f"{name}: {_short(here)} here, {_short(there)} in Zoho"
        for name, (here, there) in row["differences"].items()
    )


def _short(value: Any) -> str:
    text = "nothing" if value in (None, "") else str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


async def write_sheet(file: Path, store: "Comparisons", told: Mapping[str, Any]) -> int:
    """Every row of these comparisons as CSV; returns how many."""
    written = 0
    with whole(file) as opened:
        sheet = csv.writer(opened)
        sheet.writerow(SHEET)
        for kind, each in told.items():
            async for rows in store.verdicts(each["comparison_id"]):
                for row in rows:
                    candidates = " ".join(row["candidates"])
                    cells = {**row, "kind": kind, "candidates": candidates}
                    cells["differences"] = as_json(row["differences"])
                    sheet.writerow([_cell(cells[name]) for name in SHEET])
                    written += 1
    return written


async def write_todo(file: Path, store: "Comparisons", told: Mapping[str, Any]) -> int:
    """The rows that a person decides, to be filled in and given to `--in`; returns how many."""
    written = 0
    with whole(file) as opened:
        sheet = csv.writer(opened)
        sheet.writerow(COLUMNS)
        for kind, each in told.items():
            async for row in _undecided(store, each["comparison_id"]):
                candidates = " ".join(row["candidates"])
                cells = (kind, row["key"], row["label"], "", candidates, row["reason"])
                sheet.writerow([_cell(value) for value in cells])
                written += 1
    return written


async def _undecided(store: "Comparisons", comparison_id: int) -> AsyncIterator[dict[str, Any]]:
    sorts = (Sort.AMBIGUOUS, Sort.DOUBLE)
    async for rows in store.verdicts(comparison_id, sorts):
        for row in rows:
            if row["key"] is not None and not row["linked"] and not row["sure"]:
                yield row


def _cell(value: Any) -> str:
    """A cell that no spreadsheet takes for a formula."""
    text = "" if value is None else str(value)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


async def write_page(
    file: Path, store: "Comparisons", told: Mapping[str, Any], *, whose: str, step: str
) -> None:
    """All of it on one page that needs no other file; `whose` it is, and the next `step`."""
    parts = [f"<p>{escape(whose)}</p>", _summary(told), f"<p>Next: <code>{escape(step)}</code></p>"]
    for kind, each in told.items():
        for sort in (Sort.DOUBLE, Sort.AMBIGUOUS, Sort.DIFFERS, Sort.MATCHES, Sort.ONLY_HERE,
                     Sort.ONLY_THERE):  # fmt: skip
            count, shown = each["counts"][str(sort)], list[dict[str, Any]]()
            async for rows in store.verdicts(each["comparison_id"], [sort], limit=PAGE_ROWS):
                shown += rows
            if shown:
                parts.append(_section(kind, sort, count, shown))
    with whole(file) as opened:
        opened.write(_PAGE.replace("BODY", "\n".join(parts)))


def _summary(told: Mapping[str, Any]) -> str:
    head = ["kind", "in Zoho", *map(str, Sort), "calls"]
    rows = [
        [kind, each["seen"], *(each["counts"][str(sort)] for sort in Sort), each["calls"]]
        for kind, each in told.items()
    ]
    return _table(head, rows)


def _section(kind: str, sort: Sort, count: int, rows: Sequence[Mapping[str, Any]]) -> str:
    more = f" (the first {len(rows):,})" if count > len(rows) else ""
    opened = " open" if sort in (Sort.DOUBLE, Sort.AMBIGUOUS, Sort.DIFFERS) else ""
    table = _table(
        ["key", "row", "in Zoho", "why"],
        [
            [row["key"] or "", row["label"] or "",
             " ".join([row["zoho_id"] or "", *row["candidates"]]).strip(),
             difference_words(row) or row["reason"] or ""]
            for row in rows
        ],
    )  # fmt: skip
    title = f"{escape(kind)}: {escape(str(sort))}, {count:,}{more}"
    return f"<details{opened}><summary>{title}</summary>{table}</details>"


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    names = "".join(f"<th>{escape(name)}</th>" for name in head)
    lines = "".join("<tr>" + "".join(_td(value) for value in row) + "</tr>" for row in rows)
    return f"<div><table><thead><tr>{names}</tr></thead><tbody>{lines}</tbody></table></div>"


def _td(value: Any) -> str:
    if isinstance(value, int):
        return f'<td class="n">{value:,}</td>'
    return f"<td>{escape(str(value))}</td>"


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>zohosync compare</title>
<style>
:root { color-scheme: light dark; font: 15px/1.45 system-ui, sans-serif; }
body { margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; } p { color: #777; }
div { overflow-x: auto; } table { border-collapse: collapse; width: 100%; margin: .6rem 0 1.4rem; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #8884;
  vertical-align: top; overflow-wrap: anywhere; }
th { font-weight: 600; } .n { text-align: right; font-variant-numeric: tabular-nums; }
summary { cursor: pointer; font-weight: 600; margin-top: 1rem; }
</style></head><body>
<h1>What is here beside what is in Zoho</h1>
<p>Nothing was written to Zoho. What may be there already is not made while that is not settled.</p>
BODY
</body></html>
"""
