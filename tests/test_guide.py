"""The page beside the guide: nothing of the guide is left out, and all that the page names exists.

Two tables are read: its requirements (1 to 29, with the items of both checklists) and the defects
of its samples (D1 to D68). A cell that begins with `not built: …` need name nothing; every row in
which something is not built is listed at the end of the page.
"""

import ast
import functools
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from zohosync import settings
from zohosync.core.kinds import MAPPED

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "guide.md"
REQUIREMENTS = [
    *(str(number) for number in range(1, 30)),
    *(f"27.{item}" for item in range(1, 11)),
    *(f"28.{item}" for item in range(1, 5)),
]
DEFECTS = [f"D{number}" for number in range(1, 69)]
COLUMNS = {
    "requirements": ["no.", "the guide asked", "what we do", "setting", "module", "test"],
    "defects": ["no.", "the defect", "what we do", "module", "test"],
}
NOT_BUILT = "not built: "


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table, its cells by the name of their column."""

    number: str
    cells: dict[str, str]

    def is_excused(self, column: str) -> bool:
        """Whether a cell says why it names nothing."""
        words = (NOT_BUILT, "none: ") if column == "setting" else NOT_BUILT
        return self.cells[column].startswith(words)

    def named(self, column: str) -> list[str]:
        """What a cell names in code type."""
        return re.findall(r"`([^`]+)`", self.cells[column])


def tables(text: str) -> Iterator[tuple[list[str], list[Row]]]:
    """Every table of a page: its columns and its rows."""
    for block in re.findall(r"(?:^\|.*\|$\n?)+", text, re.MULTILINE):
        head, _, *lines = [
            [cell.strip() for cell in line.strip().strip("|").split("|")]
            for line in block.strip().splitlines()
        ]
        for cells in lines:
            assert len(cells) == len(head), f"{len(head)} columns, {len(cells)} cells: {cells}"
        yield head, [Row(cells[0], dict(zip(head, cells, strict=True))) for cells in lines]


def table(name: str) -> list[Row]:
    """One of the two tables."""
    found = [rows for head, rows in tables(PAGE.read_text("utf-8")) if head == COLUMNS[name]]
    assert len(found) == 1, f"{len(found)} tables with the columns {COLUMNS[name]}"
    return found[0]


def rows() -> list[Row]:
    """The rows of both."""
    return [row for name in COLUMNS for row in table(name)]


def settings_there_are() -> set[str]:
    """The names of all settings, those of a kind and of a watch spelled as in the file."""
    names = {option.name for option in settings._ENTRIES}
    names |= {f"kinds.{kind}.{key}" for kind in MAPPED for key in (*settings._KIND, "when_gone")}
    return names | {f"watch.{key}" for key in settings._WATCH}


@functools.cache
def functions_in(file: str) -> frozenset[str]:
    """The tests that a file defines; none where there is no such file."""
    path = ROOT / file
    if not path.is_file():
        return frozenset()
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8"), file))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(
        node.name for node in nodes if isinstance(node, functions) and node.name.startswith("test_")
    )


def strangers(row: Row, known: set[str]) -> list[str]:
    """What a row names that is not there, and what it does not name though it should."""
    wrong = []
    for column in ("setting", "module", "test"):
        if column not in row.cells or row.is_excused(column):
            continue
        named = row.named(column)
        if not named:
            wrong.append(f"{column}: nothing is named in {row.cells[column]!r}")
        for name in named:
            file, _, test = name.partition("::")
            there = {
                "setting": name in known,
                "module": (ROOT / "src" / "zohosync" / name).exists(),
                "test": test in functions_in(file),
            }
            if not there[column]:
                wrong.append(f"{column}: there is no {name}")
    return wrong


@pytest.mark.parametrize(
    ("name", "numbers"), [("requirements", REQUIREMENTS), ("defects", DEFECTS)]
)
def test_each_part_of_the_guide_has_its_row_once(name: str, numbers: list[str]) -> None:
    counted = Counter(row.number for row in table(name))
    assert {number: counted[number] for number in numbers} == dict.fromkeys(numbers, 1)
    assert set(counted) == set(numbers)


def test_what_the_rows_name_exists() -> None:
    known = settings_there_are()
    wrong = {row.number: found for row in rows() if (found := strangers(row, known))}
    assert not wrong


def test_no_cell_is_empty() -> None:
    empty = [
        (row.number, column)
        for row in rows()
        for column, cell in row.cells.items()
        if not re.search(r"\w", cell)
    ]
    assert not empty


def test_what_is_not_built_is_listed_at_the_end_of_the_page() -> None:
    unbuilt = [row.number for row in rows() if NOT_BUILT in " ".join(row.cells.values())]
    end = PAGE.read_text("utf-8").partition("## Not built\n")[2]
    assert re.findall(r"^- \*\*(D?[\d.]+)\*\*: \S", end, re.MULTILINE) == unbuilt


def test_a_row_that_names_what_is_not_there_is_found() -> None:
    cells = {"setting": "`limits.nothing`", "module": "`core/nothing.py`", "test": "by hand"}
    there = strangers(Row("0", cells), settings_there_are())
    assert [wrong.partition(":")[0] for wrong in there] == ["setting", "module", "test"]
    here = Path(__file__).relative_to(ROOT).as_posix()
    gone = {"test": f"`{here}::test_nothing`", "module": "`settings.py`"}
    assert strangers(Row("0", gone), set()) == [f"test: there is no {here}::test_nothing"]
    assert not strangers(Row("0", {"test": "not built: nobody has"}), set())
